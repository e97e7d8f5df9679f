// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX-512 without VPOPCNTDQ, by table look-up.
// Look-ups give the counts of two rows at a time (look_up_shared.h), for all 64 outputs.
//
// 8 rows in four pairs: a pair takes nine instructions on vectors and six loads for three look-ups,
// and all pairs share three loads of weights and the counting of the loop.  The nine keep the two
// units of 512 bits busy for 4.5 cycles, in which four instructions a cycle are decoded, so two
// pairs would just be too many for the decoder, and four leave it a tenth.  Their sums take 12 of
// 32 registers; more pairs would gain nothing and leave more rows of a block unpaired.
// Panel: four bits of the 64 outputs in a byte each, 16 x 64 bytes per word, as for AVX2.
// Counts stay in bytes for 3 words (48 x 4 = 192 <= 255), in 16 bits for 511 words, which is what
// `bits` needs and keeps the offsets of 8 rows in 64 KiB of the stack.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

#include "kernels/look_up_shared.h"
#include "kernels/mask_below.h"
#include "kernels/with_rows.h"

constexpr int kRows = 8;
constexpr int kPairs = kRows / 2;
constexpr int kCols = 64;
constexpr int kStepsPerFlush = 3 * kQuarters;
constexpr int kWordsPerSpan = 511;

// Compile-time constants, because code of this file must not run before AVX-512 was detected.
constexpr Tables kXor(BitOp::exclusive_or);
constexpr Tables kAnd(BitOp::conjunction);

// Masked forms, here and below, where GCC 12 warns about the undefined source register of others.
[[gnu::always_inline]] inline __m512i table_at(const uint8_t* tables, uint16_t offset) {
  return _mm512_maskz_broadcast_i32x4(
      0xffff, _mm_load_si128(reinterpret_cast<const __m128i*>(tables + offset)));
}

// A barrier without instructions: otherwise GCC delays sums, which then need more registers.
[[gnu::always_inline]] inline __m512i kept(__m512i x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#endif
  return x;
}

[[gnu::always_inline]] inline __m512i high_halves(__m512i x) {
  return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}

// Counts of the low row, from the sums of bytes and of high halves.
[[gnu::always_inline]] inline __m512i low_row(__m512i all, __m512i high) {
  const __m512i sixteen = _mm512_and_si512(_mm512_slli_epi16(high, 4), _mm512_set1_epi8(-16));
  return _mm512_sub_epi8(all, sixteen);
}

// Counts of 64 outputs in 16 bits: those of even outputs, and of odd ones.
struct Wide {
  __m512i even;
  __m512i odd;
};

[[gnu::always_inline]] inline void widen(__m512i counts, bool is_first, Wide& wide) {
  const __m512i even = _mm512_and_si512(counts, _mm512_set1_epi16(0xff));
  const __m512i odd = _mm512_srli_epi16(counts, 8);
  wide.even = is_first ? even : _mm512_add_epi16(wide.even, even);
  wide.odd = is_first ? odd : _mm512_add_epi16(wide.odd, odd);
}

// Counts of some pairs of rows, at most kWordsPerSpan words.
//
// Pairs are a pack of constants, not a loop: their sums must live in registers.
template <int... pair>
inline void count_pairs(std::integer_sequence<int, pair...>, const uint16_t* arranged,
                        const uint8_t* w, int n_words, const uint8_t* tables, Wide* wide) {
  constexpr int kPairs = sizeof...(pair);
  const int n = kQuarters * n_words;
  const uint16_t* const offsets[] = {arranged + static_cast<ptrdiff_t>(pair) * n...};
  int at = 0;
  do {
    const bool is_first = at == 0;
    const int left = n - at;
    const int last = at + (left < kStepsPerFlush ? left : kStepsPerFlush);
    __m512i all[kPairs];
    __m512i high[kPairs];
    ((all[pair] = high[pair] = _mm512_setzero_si512()), ...);
    // Counts of 4 bits, added to those before.
    const auto look_up = [&](int step, __m512i(&both)[kPairs]) __attribute__((always_inline)) {
      const __m512i weights = kept(_mm512_loadu_si512(w + step * kCols));
      const auto counts = [&](int p) __attribute__((always_inline)) {
        return _mm512_shuffle_epi8(table_at(tables, offsets[p][at + step]), weights);
      };
      ((both[pair] = step == 0 ? counts(pair) : kept(_mm512_add_epi8(both[pair], counts(pair)))),
       ...);
    };
    const auto add = [&](auto n_steps) __attribute__((always_inline)) {
      __m512i both[kPairs];
      look_up(0, both);
      if constexpr (n_steps == 3) {
        look_up(1, both);
        look_up(2, both);
      }
      ((all[pair] = kept(_mm512_add_epi8(all[pair], both[pair]))), ...);
      ((high[pair] = kept(_mm512_add_epi8(high[pair], high_halves(both[pair])))), ...);
    };
    for (; at + 3 <= last; at += 3, w += 3 * kCols) add(std::integral_constant<int, 3>());
    for (; at < last; ++at, w += kCols) add(std::integral_constant<int, 1>());
    ((widen(low_row(all[pair], high[pair]), is_first, wide[2 * pair]),
      widen(high[pair], is_first, wide[2 * pair + 1])),
     ...);
  } while (at < n);
}

// Calls use(row, wide counts) for n_rows rows.  arranged: all rows, or null.
template <typename Use>
inline void for_rows(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint16_t* arranged,
                     const uint8_t* w, int n_words, const Tables& tables, Use&& use) {
  uint16_t some[kPairs * kWordsPerSpan * kQuarters];
  for (int first = 0; first < n_rows; first += kRows) {
    const int n = n_rows - first < kRows ? n_rows - first : kRows;
    if (arranged == nullptr) pair_all(a + first * a_stride, a_stride, n, n_words, some);
    const uint16_t* const pairs =
        arranged == nullptr ? some
                            : arranged + first / 2 * static_cast<ptrdiff_t>(kQuarters) * n_words;
    Wide wide[kRows];
    with_rows<kPairs>((n + 1) / 2, [&](auto of_pairs) {
      count_pairs(of_pairs, pairs, w, n_words, tables.counts[0], wide);
    });
    for (int i = 0; i < n; ++i) use(first + i, wide[i]);
  }
}

// Calls use(first output, counts of 16 outputs in 32 bits) for the four quarters of the outputs.
template <typename Use>
[[gnu::always_inline]] inline void in_sixteens(const Wide& wide, Use&& use) {
  // 0 to 7 of every 16 outputs, and 8 to 15.
  const __m512i low = _mm512_unpacklo_epi16(wide.even, wide.odd);
  const __m512i high = _mm512_unpackhi_epi16(wide.even, wide.odd);
  const __m512i first =
      _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
  const __m512i second =
      _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
  const auto widened = [](__m256i counts) __attribute__((always_inline)) {
    return _mm512_maskz_cvtepu16_epi32(0xffff, counts);
  };
  use(0, widened(_mm512_maskz_extracti64x4_epi64(0xf, first, 0)));
  use(16, widened(_mm512_maskz_extracti64x4_epi64(0xf, first, 1)));
  use(32, widened(_mm512_maskz_extracti64x4_epi64(0xf, second, 0)));
  use(48, widened(_mm512_maskz_extracti64x4_epi64(0xf, second, 1)));
}

// Calls use(row, wide counts) for all rows of a product.
template <typename Use>
inline void for_dots(const DotsB1& dots, const Use& use) {
  for_rows(dots.a, dots.a_stride, dots.n_rows, dots.arranged,
           reinterpret_cast<const uint8_t*>(dots.panel), dots.n_words, dots.is_signed ? kXor : kAnd,
           use);
}

// Thresholds of counts in 16 bits.  dot >= threshold is c <= f for dot = offset - 2 c, and
// c > -f - 1 for dot = offset + 2 c, with f = floor((offset - threshold) / 2).  The half of an
// offset is added to those of offsets 0 and 1.  Both saturate, and what has saturated must stay on
// its side of all counts: so kShift is taken from limits and added to halves, which are below it.
constexpr int kShift = 16384;

struct Limits {
  alignas(64) int16_t of[2][2][kCols / 2];  // [lowest bit of the offset][odd][output]

  Limits(const DotsB1& dots, const int32_t* threshold) {
    for (const int bit : {0, 1}) {
      alignas(64) int16_t limits[kCols];
      for (int j = 0; j < kCols; j += 16) {
        const __m512i t = _mm512_maskz_loadu_epi32(mask_below(j, dots.n_cols), threshold + j);
        const __m512i half =
            _mm512_maskz_srai_epi32(0xffff, _mm512_sub_epi32(_mm512_set1_epi32(bit), t), 1);
        // -half - 1 = ~half.
        const __m512i limit = dots.is_signed ? half : _mm512_xor_si512(half, _mm512_set1_epi32(-1));
        store(limits + j, _mm512_maskz_cvtsepi32_epi16(
                              0xffff, _mm512_sub_epi32(limit, _mm512_set1_epi32(kShift))));
      }
      for (int j = 0; j < kCols; j += 32) {
        const __m512i pairs = _mm512_loadu_si512(limits + j);
        store(of[bit][0] + j / 2, _mm512_maskz_cvtepi32_epi16(0xffff, pairs));
        store(of[bit][1] + j / 2,
              _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_srli_epi32(0xffff, pairs, 16)));
      }
    }
  }

 private:
  static void store(int16_t* to, __m256i x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
  }
};

// Bit j is count j > limit j, for 64 outputs: the sign of the saturated difference.  Masks of even
// and of odd outputs would have to be interleaved.
[[gnu::always_inline]] inline uint64_t above(const Wide& wide, const int16_t (&limit)[2][kCols / 2],
                                             __m512i half_offset) {
  const auto below = [&](int odd, __m512i counts) __attribute__((always_inline)) {
    const __m512i limits = _mm512_adds_epi16(_mm512_loadu_si512(limit[odd]), half_offset);
    return _mm512_subs_epi16(limits, counts);
  };
  const __m512i even = _mm512_srli_epi16(below(0, wide.even), 8);
  constexpr __mmask64 kOdd = 0xaaaa'aaaa'aaaa'aaaa;
  return _mm512_movepi8_mask(_mm512_mask_blend_epi8(kOdd, even, below(1, wide.odd)));
}

}  // namespace

void gemm_b1_8x64_avx512bw_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                                uint64_t* panel) {
  split_panel(w, stride, n_cols, n_words, panel);
}

void gemm_b1_8x64_avx512bw(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                           int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const Tables& tables = op == BitOp::exclusive_or ? kXor : kAnd;
  int first = 0;
  do {
    const int span = n_words - first < kWordsPerSpan ? n_words - first : kWordsPerSpan;
    const auto* w = reinterpret_cast<const uint8_t*>(panel) + ptrdiff_t{first} * kQuarters * kCols;
    for_rows(a + first, a_stride, n_rows, nullptr, w, span, tables, [&](int i, const Wide& wide) {
      in_sixteens(wide, [&](int j, __m512i counts) __attribute__((always_inline)) {
        int32_t* out = c + i * c_stride + j;
        _mm512_storeu_si512(
            out, first == 0 ? counts : _mm512_add_epi32(_mm512_loadu_si512(out), counts));
      });
    });
    first += span;
  } while (first < n_words);
}

void gemm_b1_8x64_avx512bw_bits(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,
                                ptrdiff_t stride) {
  const Limits limits(dots, threshold);
  const uint64_t real = dots.n_cols < 64 ? (uint64_t{1} << dots.n_cols) - 1 : ~uint64_t{0};
  for_dots(dots, [&](int i, const Wide& wide) {
    const int32_t offset = dots.offsets[i];
    const int32_t half = offset >> 1;
    const __m512i add =
        _mm512_set1_epi16(static_cast<int16_t>(kShift + (dots.is_signed ? half : -half)));
    const uint64_t word = above(wide, limits.of[offset & 1], add);
    bits[i * stride] = (dots.is_signed ? ~word : word) & real;
  });
}

void gemm_b1_8x64_avx512bw_floats(const DotsB1& dots, const float* scale, const float* bias,
                                  float* y, ptrdiff_t stride) {
  for_dots(dots, [&](int i, const Wide& wide) {
    const __m512i offset = _mm512_set1_epi32(dots.offsets[i]);
    in_sixteens(wide, [&](int j, __m512i counts) __attribute__((always_inline)) {
      const __mmask16 mask = mask_below(j, dots.n_cols);
      const __m512i twice = _mm512_add_epi32(counts, counts);
      const __m512i dot =
          dots.is_signed ? _mm512_sub_epi32(offset, twice) : _mm512_add_epi32(offset, twice);
      const __m512 product = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, scale + j),
                                           _mm512_maskz_cvtepi32_ps(0xffff, dot));
      const __m512 sum = _mm512_add_ps(product, _mm512_maskz_loadu_ps(mask, bias + j));
      _mm512_mask_storeu_ps(y + i * stride + j, mask, sum);
    });
  });
}

void gemm_b1_8x64_avx512bw_arrange(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                                   uint16_t* arranged) {
  pair_all(a, a_stride, n_rows, n_words, arranged);
}

}  // namespace earbit
