// bits[j] = exp(-2 scale popcount(q xor k[j])) / sum over j > half.  This is the reference.
#include <cstring>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

// One bits of every byte.
uint64_t ones_of_bytes(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
}

// Counts of the words that contain [from, to), eight keys at a time; returns the least of
// [from, to).
uint16_t count_keys(const uint64_t* q, const uint8_t* keys, int n_words, int64_t from, int64_t to,
                    uint16_t* counts) {
  constexpr int kAtOnce = 8;
  for (int64_t j = first_of(from); j < last_of(to); j += kAtOnce) {
    const uint8_t* block = keys + j / kKeyBlock * kKeyBlock * 8 * n_words + j % kKeyBlock;
    for (int l = 0; l < kAtOnce; ++l) counts[j + l] = 0;
    for (int w = 0; w < n_words; ++w) {
      uint64_t sums = 0;  // up to 64 in every byte
      for (int b = 0; b < 8; ++b) {
        uint64_t bytes;
        std::memcpy(&bytes, block + (8 * w + b) * kKeyBlock, sizeof(bytes));
        sums += ones_of_bytes(bytes ^ (q[w] >> (8 * b) & 0xff) * 0x0101010101010101);
      }
      for (int l = 0; l < kAtOnce; ++l) counts[j + l] += sums >> (8 * l) & 0xff;
    }
  }
  uint16_t least = 0xffff;
  for (int64_t j = from; j < to; ++j) least = counts[j] < least ? counts[j] : least;
  return least;
}

}  // namespace

void softmax_b1_scalar(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys,
                       void* room, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  auto* counts = static_cast<uint16_t*>(room);
  const int n_words = queries.n_words;
  for (int i = 0; i < queries.n; ++i) {
    const int64_t from = queries.from[i];
    const int64_t to = queries.to[i];
    const int32_t least = count_keys(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys,
                                     n_words, from, to, counts);
    uint64_t total = 0;
    for (int64_t j = from; j < to; ++j) {
      const int32_t k = counts[j] - least;
      total += k < table.size ? table.fixed[k] : 0;
    }
    const int32_t end = least + n_above(table, total);
    ones[i] = 0;
    for (int64_t j = first_of(from); j < last_of(to); j += kWordBits) {
      uint64_t word = 0;
      for (int k = 0; k < kWordBits; ++k) word |= uint64_t{counts[j + k] < end} << k;
      word &= seen_of(j, from, to);
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += popcount(word);
    }
  }
}

}  // namespace earbit
