// Binary attention of one query to many keys: counts of differing bits, their softmax, and a bit
// that is 1 where a probability is above a limit.
//
// Counts c of d bits take few values, and a probability is exp(-2 scale c) / sum, so exp is a table
// over (count - least count), and the limit of a row is one comparison of its counts.  Sums are
// integers and do not depend on their order.  The reference is softmax_b1_scalar.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

// Weights of counts before the division by their sum: exp[k] for the least count of a row plus k,
// decreasing from 1, for k < size; weights beyond are negligible.
struct ExpTable {
  const float* exp;
  const uint32_t* fixed;  // exp in units of 2^-31, rounded, then zeros up to kFixedWeights at least
  const uint8_t* bytes;   // byte b of fixed[k], for k < kByteWeights, at kByteWeights b + k
  int size;
  float half;  // a bit is 1 where a probability is above it
};

constexpr int kFixedWeights = 256;
constexpr int kByteWeights = 128;

// Owner of the data of a table.
class ExpWeights {
 public:
  explicit ExpWeights(std::vector<float> exp);

  ExpTable table(float half) const {
    return {exp_.data(), fixed_.data(), bytes_.data(), static_cast<int>(exp_.size()), half};
  }

 private:
  std::vector<float> exp_;
  std::vector<uint32_t> fixed_;
  std::vector<uint8_t> bytes_;
};

// Keys in the layout of the kernels: blocks of kKeyBlock keys, with byte b of key j at 64 b + j, so
// that counts in bytes are in the order of keys.
constexpr int kKeyBlock = 64;

class KeysB1 {
 public:
  KeysB1(const uint64_t* keys, int64_t n_keys, int n_words);

  // Keys from a multiple of kKeyBlock.
  const uint8_t* block(int64_t key) const { return bytes_.data() + key * n_words_ * 8; }

 private:
  int n_words_;
  std::vector<uint8_t> bytes_;
};

// A few queries of one head, and the window [from, to) of keys of each.
struct QueriesB1 {
  static constexpr int kMax = 8;

  const uint64_t* bits;  // (n, n_words)
  int n;
  int n_words;  // at most 2^15 bits
  int64_t from[kMax];
  int64_t to[kMax];
};

struct SoftmaxB1Kernel {
  const char* name;
  Isa isa;

  // For every query i, from the keys that are laid out at `keys`: the words of bits[i *
  // bits_stride] from that of from[i] on to that of to[i] - 1, and ones[i], how many of their bits
  // are 1.  room: for a count of 16 bits, aligned as such, of every key of all queries, up to the
  // border of a word behind the last; a kernel may use it for counts in bytes.
  void (*run)(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys, void* room,
              uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones);
};

// The scalar kernel, which others call for queries whose counts do not fit a byte.
constexpr int kByteWords = 3;
void softmax_b1_scalar(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys,
                       void* room, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones);

// All kernels of this build, the scalar one first.
const std::vector<SoftmaxB1Kernel>& softmax_b1_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const SoftmaxB1Kernel& softmax_b1_kernel(Isa isa);

}  // namespace earbit
