#include <immintrin.h>

#include "kernels/lanes.h"

namespace earbit {
namespace {

#include "kernels/lanes_loops.h"

uint64_t at_least_f32(const float* x, const float* threshold, int n) {
  uint64_t bits = 0;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 is_at_least =
        _mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(threshold + i), _CMP_GE_OQ);
    bits |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps(is_at_least))) << i;
  }
  for (; i < n; ++i) bits |= static_cast<uint64_t>(x[i] >= threshold[i]) << i;
  return bits;
}

uint64_t at_least_i32(const int32_t* x, const int32_t* threshold, int n) {
  uint64_t bits = 0;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    const __m256i limit = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(threshold + i));
    const int below = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, value)));
    bits |= static_cast<uint64_t>(static_cast<uint32_t>(~below) & 0xffu) << i;
  }
  for (; i < n; ++i) bits |= static_cast<uint64_t>(x[i] >= threshold[i]) << i;
  return bits;
}

}  // namespace

extern const LaneKernels kLanesAvx2;
const LaneKernels kLanesAvx2 = {"lanes_avx2", Isa::avx2, gelu,     at_least_f32, at_least_i32,
                                least_i32,    scale_i32, quantize, largest_i32,  exp_i32};

}  // namespace earbit
