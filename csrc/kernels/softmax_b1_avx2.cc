// softmax_b1 with the population count of a word as an instruction, and the loops in AVX2.
#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

inline int32_t n_ones(uint64_t word) { return __builtin_popcountll(word); }

#include "kernels/softmax_b1_loops.h"

}  // namespace

void softmax_b1_avx2(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                     uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  softmax_bits(table, queries, keys, counts, bits, bits_stride, ones);
}

}  // namespace earbit
