#include <immintrin.h>

#include <cstring>
#include <utility>

#include "bits/layout.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

#include "kernels/elementwise_loops.h"
#include "kernels/mask_below.h"

uint64_t at_least_f32(const float* x, const float* threshold, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; i += 16) {
    const __mmask16 mask = mask_below(i, n);
    const __mmask16 is_at_least =
        _mm512_mask_cmp_ps_mask(mask, _mm512_maskz_loadu_ps(mask, x + i),
                                _mm512_maskz_loadu_ps(mask, threshold + i), _CMP_GE_OQ);
    bits |= static_cast<uint64_t>(is_at_least) << i;
  }
  return bits;
}

uint64_t at_least_i32(const int32_t* x, const int32_t* threshold, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; i += 16) {
    const __mmask16 mask = mask_below(i, n);
    const __mmask16 is_at_least = _mm512_mask_cmpge_epi32_mask(
        mask, _mm512_maskz_loadu_epi32(mask, x + i), _mm512_maskz_loadu_epi32(mask, threshold + i));
    bits |= static_cast<uint64_t>(is_at_least) << i;
  }
  return bits;
}

// By look-up of half bytes, because vpopcntq came later.
int64_t n_ones(const uint64_t* words, int64_t n) {
  const __m512i table = _mm512_maskz_broadcast_i32x4(
      0xffff, _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m512i half = _mm512_set1_epi8(15);
  __m512i ones = _mm512_setzero_si512();
  for (int64_t i = 0; i < n; i += 8) {
    const auto mask = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
    const __m512i some = _mm512_maskz_loadu_epi64(mask, words + i);
    const __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(some, half));
    const __m512i high =
        _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(some, 4), half));
    ones =
        _mm512_add_epi64(ones, _mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512()));
  }
  int64_t lanes[8];
  _mm512_storeu_si512(lanes, ones);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

// Rows are unrolled by templates, as in gemm_b1_6x64_avx512.cc; sums never leave the registers.
template <int... rows>
[[gnu::always_inline]] inline void fir_bits_of(std::integer_sequence<int, rows...>, const float* a,
                                               ptrdiff_t a_stride, const float* w, int n_taps,
                                               const float* threshold, uint64_t* bits,
                                               ptrdiff_t bits_stride) {
  const float* x[] = {a + rows * a_stride...};
  const __m512 zero = _mm512_setzero_ps();
  __m512 sum[][4] = {{(static_cast<void>(rows), zero), zero, zero, zero}...};
  const auto add = [](__m512(&row)[4], float value, const __m512(&weight)[4]) {
    const __m512 v = _mm512_set1_ps(value);
    row[0] = _mm512_add_ps(row[0], _mm512_mul_ps(v, weight[0]));
    row[1] = _mm512_add_ps(row[1], _mm512_mul_ps(v, weight[1]));
    row[2] = _mm512_add_ps(row[2], _mm512_mul_ps(v, weight[2]));
    row[3] = _mm512_add_ps(row[3], _mm512_mul_ps(v, weight[3]));
  };
  for (int k = 0; k < n_taps; ++k, w += kFirCols) {
    const __m512 weight[4] = {_mm512_loadu_ps(w), _mm512_loadu_ps(w + 16), _mm512_loadu_ps(w + 32),
                              _mm512_loadu_ps(w + 48)};
    (add(sum[rows], x[rows][k], weight), ...);
  }
  const __m512 least[4] = {_mm512_loadu_ps(threshold), _mm512_loadu_ps(threshold + 16),
                           _mm512_loadu_ps(threshold + 32), _mm512_loadu_ps(threshold + 48)};
  const auto word = [&](const __m512(&row)[4]) {
    const auto is_one = [&](int v) { return _mm512_cmp_ps_mask(row[v], least[v], _CMP_GE_OQ); };
    return _mm512_kunpackd(_mm512_kunpackw(is_one(3), is_one(2)),
                           _mm512_kunpackw(is_one(1), is_one(0)));
  };
  ((bits[rows * bits_stride] = word(sum[rows])), ...);
}

void fir_bits(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* w, int n_taps,
              const float* threshold, uint64_t* bits, ptrdiff_t bits_stride) {
  constexpr int kRows = 6;
  int64_t i = 0;
  for (; i + kRows <= n_rows; i += kRows) {
    fir_bits_of(std::make_integer_sequence<int, kRows>(), a + i * a_stride, a_stride, w, n_taps,
                threshold, bits + i * bits_stride, bits_stride);
  }
  for (; i < n_rows; ++i) {
    fir_bits_of(std::make_integer_sequence<int, 1>(), a + i * a_stride, a_stride, w, n_taps,
                threshold, bits + i * bits_stride, bits_stride);
  }
}

}  // namespace

extern const ElementwiseKernels kElementwiseAvx512bw;
const ElementwiseKernels kElementwiseAvx512bw = {
    .name = "elementwise_avx512bw",
    .isa = Isa::avx512bw,
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
    .add_moments = add_moments,
    .fir_bits = fir_bits,
    .depthwise = depthwise<16>,
    .add_distances = add_distances,
    .add_squares = add_squares,
    .affine = affine,
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
