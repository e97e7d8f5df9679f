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

// dot >= threshold, as a comparison of the count c itself: of offset - 2 c, c is at most half of
// what is between, rounded down; of offset + 2 c, at least half of it, rounded up.
template <bool is_signed>
void pack_rows(const DotTile& tile, const int32_t* threshold, uint64_t* bits) {
  constexpr int kVectors = 4;
  __mmask16 mask[kVectors];
  __m512i least[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    mask[v] = 16 * v < tile.n_cols ? lanes_below(16 * v, tile.n_cols) : 0;
    least[v] = _mm512_maskz_loadu_epi32(mask[v], threshold + 16 * v);
    if (!is_signed) least[v] = _mm512_add_epi32(least[v], _mm512_set1_epi32(1));
  }
  const auto half = [](__m512i x) { return _mm512_maskz_srai_epi32(0xffff, x, 1); };
  for (int i = 0; i < tile.n_rows; ++i) {
    const __m512i offset = _mm512_set1_epi32(tile.offsets[i]);
    const auto is_one = [&](int v) {
      const __m512i c = _mm512_maskz_loadu_epi32(mask[v], tile.counts + i * tile.stride + 16 * v);
      return is_signed ? _mm512_mask_cmple_epi32_mask(mask[v], c,
                                                      half(_mm512_sub_epi32(offset, least[v])))
                       : _mm512_mask_cmpge_epi32_mask(mask[v], c,
                                                      half(_mm512_sub_epi32(least[v], offset)));
    };
    bits[i] = _mm512_kunpackd(_mm512_kunpackw(is_one(3), is_one(2)),
                              _mm512_kunpackw(is_one(1), is_one(0)));
  }
}

void pack_dots(const DotTile& tile, const int32_t* threshold, uint64_t* bits) {
  tile.is_signed ? pack_rows<true>(tile, threshold, bits) : pack_rows<false>(tile, threshold, bits);
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
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
