#include <immintrin.h>

#include <cstring>
#include <utility>

#include "bits/layout.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

#include "kernels/elementwise_loops.h"

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

int64_t n_ones(const uint64_t* words, int64_t n) {
  int64_t ones = 0;
  for (int64_t i = 0; i < n; ++i) ones += _mm_popcnt_u64(words[i]);
  return ones;
}

#include "kernels/fir_bits_avx2.h"
#include "kernels/moments_avx2.h"

}  // namespace

extern const ElementwiseKernels kElementwiseAvx2;
const ElementwiseKernels kElementwiseAvx2 = {
    .name = "elementwise_avx2",
    .isa = Isa::avx2,
    .gelu = gelu,
    .at_least_f32 = at_least_f32,
    .at_least_i32 = at_least_i32,
    .not_below = not_below<at_least_f32>,
    .scale_i32 = scale_i32,
    .scale_sums = scale_sums,
    .pack_dots = pack_dots<at_least_i32>,
    .scale_dots = scale_dots,
    .layer_norm = layer_norm,
    .add = add,
    .n_ones = n_ones,
    .add_moments = add_moments_avx2,
    .fir_bits = fir_bits_avx2,
    .depthwise = depthwise<8>,
    .add_distances = add_distances,
    .add_squares = add_squares,
    .affine = affine,
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
