// bits[j] = exp(-2 scale popcount(q xor k[j])) / sum over j > half.  The reference.
#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

inline int32_t n_ones(uint64_t word) { return popcount(word); }

#include "kernels/softmax_b1_loops.h"

}  // namespace

void softmax_b1_scalar(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                       uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  softmax_bits(table, queries, keys, counts, bits, bits_stride, ones);
}

}  // namespace earbit
