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

uint64_t at_most(const int32_t* x, int32_t limit, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; i += 16) {
    const __mmask16 mask = lanes_below(i, n);
    const __m512i some = _mm512_maskz_loadu_epi32(mask, x + i);
    bits |=
        static_cast<uint64_t>(_mm512_mask_cmple_epi32_mask(mask, some, _mm512_set1_epi32(limit)))
        << i;
  }
  return bits;
}

// A table of up to 65 entries, that of a head of 64 bits, lies in registers.
class TableInRegisters {
 public:
  explicit TableInRegisters(const ShareTable& table) : last_(_mm512_setzero_ps()) {
    for (int p = 0; p < 4; ++p) {
      mask_[p] = 16 * p < table.size ? lanes_below(16 * p, table.size) : 0;
      part_[p] = _mm512_maskz_loadu_ps(mask_[p], table.exp + 16 * p);
    }
    if (table.size == 65) last_ = _mm512_set1_ps(table.exp[64]);
  }

  __m512 at(__m512i index) const {
    const __m512 low = _mm512_permutex2var_ps(part_[0], index, part_[1]);
    const __m512 high = _mm512_permutex2var_ps(part_[2], index, part_[3]);
    const __mmask16 is_high = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
    const __mmask16 is_last = _mm512_test_epi32_mask(index, _mm512_set1_epi32(64));
    return _mm512_mask_blend_ps(is_last, _mm512_mask_blend_ps(is_high, low, high), last_);
  }

  int32_t n_above(float needed) const {
    const __m512 limit = _mm512_set1_ps(needed);
    int n = _mm512_mask_cmp_ps_mask(1, last_, limit, _CMP_GT_OQ);
    for (int p = 0; p < 4; ++p) {
      n += __builtin_popcount(_mm512_mask_cmp_ps_mask(mask_[p], part_[p], limit, _CMP_GT_OQ));
    }
    return n;
  }

 private:
  __mmask16 mask_[4];
  __m512 part_[4];
  __m512 last_;
};

int32_t softmax_bits(const ShareTable& table, const int32_t* counts, int64_t from, int64_t to,
                     uint64_t* bits) {
  if (table.size > 65) return softmax_bits_by(at_most, table, counts, from, to, bits);
  const TableInRegisters shares(table);
  const int32_t* x = counts + from;
  const auto n = static_cast<int>(to - from);
  __m512i lowest = _mm512_set1_epi32(x[0]);
  int i = 0;
  // By a mask of all lanes: GCC 12 takes the plain form for a use of something uninitialized.
  for (; i + 16 <= n; i += 16) {
    lowest = _mm512_mask_min_epi32(lowest, 0xffff, lowest, _mm512_loadu_si512(x + i));
  }
  const __mmask16 rest = lanes_below(0, n - i);
  if (i < n) {
    lowest = _mm512_mask_min_epi32(lowest, rest, lowest, _mm512_maskz_loadu_epi32(rest, x + i));
  }
  int32_t least_of_lane[16];
  _mm512_storeu_si512(least_of_lane, lowest);
  int32_t least = least_of_lane[0];
  for (int32_t value : least_of_lane) least = value < least ? value : least;

  const __m512i first = _mm512_set1_epi32(least);
  __m512 sums = _mm512_setzero_ps();
  for (i = 0; i + 16 <= n; i += 16) {
    const __m512i index = _mm512_sub_epi32(_mm512_loadu_si512(x + i), first);
    sums = _mm512_add_ps(sums, shares.at(index));
  }
  if (i < n) {
    const __m512i index = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(rest, x + i), first);
    sums = _mm512_mask_add_ps(sums, rest, sums, shares.at(index));
  }
  float sum[16];
  _mm512_storeu_ps(sum, sums);
  for (int half = 8; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s) sum[s] += sum[s + half];
  }

  const int32_t limit = least + shares.n_above(table.half * sum[0]) - 1;
  int32_t ones = 0;
  for (int64_t j = from / 64 * 64; j < to; j += 64) {
    uint64_t word = at_most(counts + j, limit, static_cast<int>(to - j < 64 ? to - j : 64));
    if (j < from) word &= ~uint64_t{0} << (from - j);
    bits[j / 64] = word;
    ones += static_cast<int32_t>(_mm_popcnt_u64(word));
  }
  return ones;
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
    .n_ones = n_ones,
    .softmax_bits = softmax_bits,
    .add_moments = add_moments,
    .fir = fir<4>,
};

}  // namespace earbit
