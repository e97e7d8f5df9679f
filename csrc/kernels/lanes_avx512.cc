#include <immintrin.h>

#include <cstring>

#include "bits/layout.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

#include "kernels/lanes_loops.h"

// Which of 16 lanes from i on lie below n.
__mmask16 lanes_below(int i, int n) {
  return static_cast<__mmask16>(n - i >= 16 ? 0xffff : (1u << (n - i)) - 1);
}

uint64_t at_least_f32(const float* x, const float* threshold, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; i += 16) {
    const __mmask16 mask = lanes_below(i, n);
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
    const __mmask16 mask = lanes_below(i, n);
    const __mmask16 is_at_least = _mm512_mask_cmpge_epi32_mask(
        mask, _mm512_maskz_loadu_epi32(mask, x + i), _mm512_maskz_loadu_epi32(mask, threshold + i));
    bits |= static_cast<uint64_t>(is_at_least) << i;
  }
  return bits;
}

void pack_dots(const DotTile& tile, const int32_t* threshold, uint64_t* bits) {
  constexpr int kVectors = 4;
  __mmask16 mask[kVectors];
  __m512i limit[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    mask[v] = 16 * v < tile.n_cols ? lanes_below(16 * v, tile.n_cols) : 0;
    limit[v] = _mm512_maskz_loadu_epi32(mask[v], threshold + 16 * v);
  }
  for (int i = 0; i < tile.n_rows; ++i) {
    const __m512i start = _mm512_set1_epi32(tile.offsets[i]);
    uint64_t word = 0;
    for (int v = 0; v < kVectors; ++v) {
      const __m512i c = _mm512_maskz_loadu_epi32(mask[v], tile.counts + i * tile.stride + 16 * v);
      const __m512i twice = _mm512_add_epi32(c, c);
      const __m512i dot =
          tile.is_signed ? _mm512_sub_epi32(start, twice) : _mm512_add_epi32(start, twice);
      word |= static_cast<uint64_t>(_mm512_mask_cmpge_epi32_mask(mask[v], dot, limit[v]))
              << (16 * v);
    }
    bits[i] = word;
  }
}

int64_t n_ones(const uint64_t* words, int64_t n) {
  __m512i ones = _mm512_setzero_si512();
  for (int64_t i = 0; i < n; i += 8) {
    const auto mask = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
    const __m512i some = _mm512_maskz_loadu_epi64(mask, words + i);
    ones = _mm512_add_epi64(ones, _mm512_popcnt_epi64(some));
  }
  int64_t lanes[8];
  _mm512_storeu_si512(lanes, ones);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

}  // namespace

extern const LaneKernels kLanesAvx512;
const LaneKernels kLanesAvx512 = {
    .name = "lanes_avx512",
    .isa = Isa::avx512,
    .gelu = gelu,
    .at_least_f32 = at_least_f32,
    .at_least_i32 = at_least_i32,
    .scale_i32 = scale_i32,
    .pack_dots = pack_dots,
    .scale_dots = scale_dots,
    .layer_norm = layer_norm,
    .add = add,
    .n_ones = n_ones,
    .add_moments = add_moments,
    .fir = fir<4, 16>,
    .quantize = quantize,
};

}  // namespace earbit
