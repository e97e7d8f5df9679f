// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX2, which has no popcount, by table look-up.
// Look-ups give the counts of two rows at a time (look_up_shared.h).
// Panel: four bits of the 64 outputs in a byte each, 16 x 64 bytes per word.
// Counts stay in bytes for 3 words (48 x 4 = 192 <= 255), in 16 bits for 1020 words.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

#include "kernels/look_up_avx2.h"
#include "kernels/with_rows.h"

constexpr int kRows = 4;
constexpr int kCols = 64;
constexpr int kVectorCols = 32;
constexpr int kWordsPerFlush = 3;
constexpr int kWordsPerSpan = 1020;

// Compile-time constants, because code of this file must not run before AVX2 was detected.
constexpr Tables kXor(BitOp::exclusive_or);
constexpr Tables kAnd(BitOp::conjunction);

// Counts of two rows for each of kPairs with the first kVectors of a panel's vectors, at most
// kWordsPerSpan words.  wide[row * kVectors + v].
//
// Tiles (pair t / kVectors, vector t % kVectors) are a pack of constants, not a loop: their sums
// must live in registers.
template <int kPairs, int kVectors, int... t>
inline void count_tiles(std::integer_sequence<int, t...>, const uint16_t* const* offsets,
                        const uint8_t* w, int n_words, const uint8_t* tables, Wide* wide) {
  constexpr int kTiles = kPairs * kVectors;
  const int n = kQuarters * n_words;
  int at = 0;
  do {
    const bool is_first = at == 0;
    const int left = n - at;
    const int last = at + (left < kWordsPerFlush * kQuarters ? left : kWordsPerFlush * kQuarters);
    __m256i all[kTiles];
    __m256i high[kTiles];
    ((all[t] = high[t] = _mm256_setzero_si256()), ...);
    // Counts of 4 bits, added to those before.
    const auto look_up = [&](int step, __m256i(&both)[kTiles]) __attribute__((always_inline)) {
      const uint8_t* weights = w + step * kCols;
      const __m256i first = kept(load(weights));
      const __m256i second = kVectors == 2 ? kept(load(weights + kVectorCols)) : first;
      const __m256i low = table_at(tables, offsets[0][at + step]);
      const __m256i high_pair = kPairs == 2 ? table_at(tables, offsets[1][at + step]) : low;
      const auto counts = [&](int tile) __attribute__((always_inline)) {
        return _mm256_shuffle_epi8(tile / kVectors == 0 ? low : high_pair,
                                   tile % kVectors == 0 ? first : second);
      };
      ((both[t] = step == 0 ? counts(t) : kept(_mm256_add_epi8(both[t], counts(t)))), ...);
    };
    const auto add = [&](auto n) __attribute__((always_inline)) {
      __m256i both[kTiles];
      look_up(0, both);
      if constexpr (n == 3) {
        look_up(1, both);
        look_up(2, both);
      }
      ((all[t] = kept(_mm256_add_epi8(all[t], both[t]))), ...);
      ((high[t] = kept(_mm256_add_epi8(high[t], high_halves(both[t])))), ...);
    };
    for (; at + 3 <= last; at += 3, w += 3 * kCols) add(std::integral_constant<int, 3>());
    for (; at < last; ++at, w += kCols) add(std::integral_constant<int, 1>());
    (flush(all[t], high[t], is_first, wide[2 * (t / kVectors) * kVectors + t % kVectors],
           wide[(2 * (t / kVectors) + 1) * kVectors + t % kVectors]),
     ...);
  } while (at < n);
}

// Calls use(quarter, counts of 8 outputs in 32 bits) for the four quarters of a vector.
template <typename Use>
[[gnu::always_inline]] inline void in_eights(const Wide& wide, Use&& use) {
  const __m256i low = _mm256_unpacklo_epi16(wide.even, wide.odd);   // 0 to 7 and 16 to 23
  const __m256i high = _mm256_unpackhi_epi16(wide.even, wide.odd);  // 8 to 15 and 24 to 31
  use(0, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(low)));
  use(1, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(high)));
  use(2, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(low, 1)));
  use(3, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(high, 1)));
}

// Calls use(row, wide counts of its vectors) for n_rows rows.  arranged: all rows, or null.
template <int kVectors, typename Use>
inline void for_rows(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint16_t* arranged,
                     const uint8_t* w, int n_words, const Tables& tables, Use&& use) {
  uint16_t some[kRows / 2 * kWordsPerSpan * kQuarters];
  for (int first = 0; first < n_rows; first += kRows) {
    const int n = n_rows - first < kRows ? n_rows - first : kRows;
    if (arranged == nullptr) pair_all(a + first * a_stride, a_stride, n, n_words, some);
    const ptrdiff_t pair_size = static_cast<ptrdiff_t>(kQuarters) * n_words;
    const uint16_t* pair = arranged == nullptr ? some : arranged + first / 2 * pair_size;
    const uint16_t* const pairs[] = {pair, pair + pair_size};
    Wide wide[kRows * kVectors];
    with_rows<2>((n + 1) / 2, [&](auto of_pairs) {
      constexpr int kPairs = static_cast<int>(of_pairs.size());
      count_tiles<kPairs, kVectors>(std::make_integer_sequence<int, kPairs * kVectors>(), pairs, w,
                                    n_words, tables.counts[0], wide);
    });
    for (int i = 0; i < n; ++i) use(first + i, wide + i * kVectors);
  }
}

}  // namespace

void gemm_b1_4x64_avx2_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                            uint64_t* panel) {
  split_panel(w, stride, n_cols, n_words, panel);
}

void gemm_b1_4x64_avx2(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                       int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const Tables& tables = op == BitOp::exclusive_or ? kXor : kAnd;
  int first = 0;
  do {
    const int span = n_words - first < kWordsPerSpan ? n_words - first : kWordsPerSpan;
    const auto* w = reinterpret_cast<const uint8_t*>(panel) + ptrdiff_t{first} * kQuarters * kCols;
    for_rows<2>(
        a + first, a_stride, n_rows, nullptr, w, span, tables, [&](int i, const Wide* wide) {
          for (int v = 0; v < 2; ++v) {
            in_eights(wide[v], [&](int quarter, __m256i counts) {
              auto* out =
                  reinterpret_cast<__m256i*>(c + i * c_stride + v * kVectorCols + 8 * quarter);
              _mm256_storeu_si256(out, first == 0 ? counts : _mm256_add_epi32(load(out), counts));
            });
          }
        });
    first += span;
  } while (first < n_words);
}

namespace {

// Calls use(row, wide counts) for all rows of a product with one vector of outputs, or with two:
// the 16 outputs that are left of 144 need one.
template <typename Use>
inline void for_dots(const DotsB1& dots, const Use& use) {
  const Tables& tables = dots.is_signed ? kXor : kAnd;
  const auto* w = reinterpret_cast<const uint8_t*>(dots.panel);
  with_rows<2>((dots.n_cols + kVectorCols - 1) / kVectorCols, [&](auto vectors) {
    constexpr int kVectors = static_cast<int>(vectors.size());
    for_rows<kVectors>(dots.a, dots.a_stride, dots.n_rows, dots.arranged, w, dots.n_words, tables,
                       [&](int i, const Wide* wide) { use(vectors, i, wide); });
  });
}

// Thresholds of counts in 16 bits.  dot >= threshold is c <= f for dot = offset - 2 c, and
// c > -f - 1 for dot = offset + 2 c, with f = floor((offset - threshold) / 2).  The half of an
// offset is added to those of offsets 0 and 1.  Both saturate, and what has saturated must stay on
// its side of all counts: so kShift is taken from limits and added to halves, which are below it.
constexpr int kShift = 16384;

struct Limits {
  alignas(32) int16_t of[2][2][2][16];  // [lowest bit of the offset][vector][odd][output]

  Limits(const DotsB1& dots, const int32_t* threshold) {
    alignas(32) int32_t all[kCols] = {};
    if (dots.n_cols < kCols) {
      for (int j = 0; j < dots.n_cols; ++j) all[j] = threshold[j];
      threshold = all;
    }
    for (int v = 0; v < 2; ++v, threshold += kVectorCols) {
      const __m256i t[] = {load(threshold), load(threshold + 8), load(threshold + 16),
                           load(threshold + 24)};
      for (const int bit : {0, 1}) {
        set(of[bit][v][0], t, bit, dots.is_signed,
            [](__m256 x, __m256 y) { return _mm256_shuffle_ps(x, y, 0x88); });
        set(of[bit][v][1], t, bit, dots.is_signed,
            [](__m256 x, __m256 y) { return _mm256_shuffle_ps(x, y, 0xdd); });
      }
    }
  }

 private:
  // Limits of the even or of the odd ones of 32 outputs, which `choose` takes from every 16.
  template <typename Choose>
  static void set(int16_t* limits, const __m256i (&threshold)[4], int bit, bool is_signed,
                  Choose&& choose) {
    __m256i chosen[2];
    for (int i = 0; i < 2; ++i) {
      const __m256i t = _mm256_castps_si256(
          choose(_mm256_castsi256_ps(threshold[2 * i]), _mm256_castsi256_ps(threshold[2 * i + 1])));
      const __m256i half = _mm256_srai_epi32(_mm256_sub_epi32(_mm256_set1_epi32(bit), t), 1);
      // -half - 1 = ~half.
      chosen[i] = is_signed ? half : _mm256_xor_si256(half, _mm256_set1_epi32(-1));
      chosen[i] = _mm256_sub_epi32(chosen[i], _mm256_set1_epi32(kShift));
      // Shuffles keep to halves of a vector: 0 to 3 and 8 to 11, then the others.
      chosen[i] = _mm256_permute4x64_epi64(chosen[i], 0xd8);
    }
    const __m256i packed = _mm256_packs_epi32(chosen[0], chosen[1]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(limits), _mm256_permute4x64_epi64(packed, 0xd8));
  }
};

// Bit j is count j > limit j, for 32 outputs.
[[gnu::always_inline]] inline uint32_t above(const Wide& wide, const int16_t (*limit)[16],
                                             __m256i half_offset) {
  const __m256i even =
      _mm256_cmpgt_epi16(wide.even, _mm256_adds_epi16(load(limit[0]), half_offset));
  const __m256i odd = _mm256_cmpgt_epi16(wide.odd, _mm256_adds_epi16(load(limit[1]), half_offset));
  const __m256i is_odd = _mm256_set1_epi16(-256);
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_blendv_epi8(even, odd, is_odd)));
}

// y = scale * dot + bias for 8 outputs.
[[gnu::always_inline]] inline __m256 scaled(__m256i counts, __m256i offset, bool is_signed,
                                            const float* scale, const float* bias) {
  const __m256i twice = _mm256_add_epi32(counts, counts);
  const __m256i dot = is_signed ? _mm256_sub_epi32(offset, twice) : _mm256_add_epi32(offset, twice);
  return _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(scale), _mm256_cvtepi32_ps(dot)),
                       _mm256_loadu_ps(bias));
}

}  // namespace

void gemm_b1_4x64_avx2_bits(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,
                            ptrdiff_t stride) {
  const Limits limits(dots, threshold);
  const uint64_t real = dots.n_cols < 64 ? (uint64_t{1} << dots.n_cols) - 1 : ~uint64_t{0};
  for_dots(dots, [&](auto vectors, int i, const Wide* wide) {
    const int32_t offset = dots.offsets[i];
    const int32_t half = offset >> 1;
    const __m256i add =
        _mm256_set1_epi16(static_cast<int16_t>(kShift + (dots.is_signed ? half : -half)));
    const auto& limit = limits.of[offset & 1];
    uint64_t word = above(wide[0], limit[0], add);
    if constexpr (vectors.size() == 2) word |= uint64_t{above(wide[1], limit[1], add)} << 32;
    bits[i * stride] = (dots.is_signed ? ~word : word) & real;
  });
}

void gemm_b1_4x64_avx2_floats(const DotsB1& dots, const float* scale, const float* bias, float* y,
                              ptrdiff_t stride) {
  // Eight outputs at a time, so that the last ones need copies of a whole vector's length.
  const int n_whole = dots.n_cols / 8 * 8;
  const int n_left = dots.n_cols - n_whole;
  float last_scale[8] = {};
  float last_bias[8] = {};
  for (int j = 0; j < n_left; ++j) {
    last_scale[j] = scale[n_whole + j];
    last_bias[j] = bias[n_whole + j];
  }
  for_dots(dots, [&](auto vectors, int i, const Wide* wide) {
    const __m256i offset = _mm256_set1_epi32(dots.offsets[i]);
    float* row = y + i * stride;
    for (int v = 0; v < static_cast<int>(vectors.size()); ++v) {
      in_eights(wide[v], [&](int quarter, __m256i counts) __attribute__((always_inline)) {
        const int j = v * kVectorCols + 8 * quarter;
        if (j < n_whole) {
          _mm256_storeu_ps(row + j, scaled(counts, offset, dots.is_signed, scale + j, bias + j));
        } else if (j < dots.n_cols) {
          float last[8];
          _mm256_storeu_ps(last, scaled(counts, offset, dots.is_signed, last_scale, last_bias));
          for (int l = 0; l < n_left; ++l) row[j + l] = last[l];
        }
      });
    }
  });
}

void gemm_b1_4x64_avx2_arrange(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                               uint16_t* arranged) {
  pair_all(a, a_stride, n_rows, n_words, arranged);
}

}  // namespace earbit
