// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX-512 with VPOPCNTDQ.  Bits or floats of the
// dots are computed without storing c in memory.
//
// 6 rows x 64 outputs = 24 accumulators of 16 int32 each.  A 32-bit word of a row is broadcast, so
// lanes are outputs and there are no sums across lanes.  Templates unroll rows and vectors, because
// compilers keep arrays that are indexed in loops in memory, with half of the accumulators.  In the
// last panel of a product, `bits` and `floats` skip vectors without outputs: the 9 outputs of a
// group of a narrow positional convolution use one of four vectors.
// Panel: half-word k (32 bits) of the 64 outputs, adjacent.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

#include "kernels/mask_below.h"
#include "kernels/with_rows.h"

constexpr int kRows = 6;
constexpr int kCols = 64;
constexpr int kVectors = kCols / 16;
static_assert(kVectors == 4);
constexpr auto kAllVectors = std::make_integer_sequence<int, kVectors>();

template <BitOp op>
[[gnu::always_inline]] inline void count_bits(__m512i& count, __m512i x, __m512i weight) {
  const __m512i bits =
      op == BitOp::exclusive_or ? _mm512_xor_si512(x, weight) : _mm512_and_si512(x, weight);
  count = _mm512_add_epi32(count, _mm512_popcnt_epi32(bits));
}

template <BitOp op, int... v>
[[gnu::always_inline]] inline void count_row(std::integer_sequence<int, v...>, __m512i* count,
                                             uint32_t word, const __m512i* weight) {
  const __m512i x = _mm512_set1_epi32(static_cast<int>(word));
  (count_bits<op>(count[v], x, weight[v]), ...);
}

// Forces the values into registers here.  Otherwise GCC keeps them in memory because of their use
// after the loop.
template <int... v>
[[gnu::always_inline]] inline void keep(std::integer_sequence<int, v...>,
                                        [[maybe_unused]] __m512i* count) {
#if defined(__AVX512F__)
  (static_cast<void>([](__m512i& x) { asm volatile("" : "+v"(x)); }(count[v])), ...);
#endif
}

template <typename Write, int... v>
[[gnu::always_inline]] inline void write_row(std::integer_sequence<int, v...> vectors,
                                             const Write& write, int i, const __m512i* count) {
  write(i, vectors, count[v]...);
}

// Counts the bits of some rows and some of a panel's vectors, and calls
// write(first + row, these vectors, their counts by value).
template <BitOp op, typename Write, int... rows, int... v>
[[gnu::always_inline]] inline void run_rows(std::integer_sequence<int, rows...>,
                                            std::integer_sequence<int, v...> vectors,
                                            const uint64_t* a, ptrdiff_t a_stride,
                                            const uint64_t* panel, int n_words, int first,
                                            const Write& write) {
  const auto* w = reinterpret_cast<const uint32_t*>(panel);
  const uint32_t* row[] = {reinterpret_cast<const uint32_t*>(a + (first + rows) * a_stride)...};
  __m512i count[sizeof...(rows)][sizeof...(v)] = {};
  for (int k = 0; k < 2 * n_words; ++k, w += kCols) {
    const __m512i weight[] = {_mm512_loadu_si512(w + 16 * v)...};
    (count_row<op>(vectors, count[rows], row[rows][k], weight), ...);
    (keep(vectors, count[rows]), ...);
  }
  (write_row(vectors, write, first + rows, count[rows]), ...);
}

// Half of every lane, rounded down.
[[gnu::always_inline]] inline __m512i half(__m512i x) {
  return _mm512_maskz_srai_epi32(0xffff, x, 1);
}

struct WriteCounts {
  int32_t* c;
  ptrdiff_t stride;

  template <int... v, typename... Counts>
  [[gnu::always_inline]] void operator()(int i, std::integer_sequence<int, v...>,
                                         Counts... counts) const {
    (_mm512_storeu_si512(c + i * stride + 16 * v, counts), ...);
  }
};

// dot >= threshold as a comparison of the count c: c <= floor((offset - threshold) / 2) for dot =
// offset - 2 c, and c >= ceil((threshold - offset) / 2) for dot = offset + 2 c.
template <BitOp op>
struct WriteBits {
  const DotsB1& dots;
  const int32_t* threshold;
  uint64_t* bits;
  ptrdiff_t stride;

  template <int... v, typename... Counts>
  [[gnu::always_inline]] void operator()(int i, std::integer_sequence<int, v...>,
                                         Counts... counts) const {
    const __m512i offset = _mm512_set1_epi32(dots.offsets[i]);
    const __mmask16 ones[kVectors] = {is_one(v, counts, offset)...};
    bits[i * stride] =
        _mm512_kunpackd(_mm512_kunpackw(ones[3], ones[2]), _mm512_kunpackw(ones[1], ones[0]));
  }

  [[gnu::always_inline]] __mmask16 is_one(int v, __m512i count, __m512i offset) const {
    const __mmask16 mask = mask_below(16 * v, dots.n_cols);
    const __m512i least = _mm512_maskz_loadu_epi32(mask, threshold + 16 * v);
    if (op == BitOp::exclusive_or) {
      return _mm512_mask_cmple_epi32_mask(mask, count, half(_mm512_sub_epi32(offset, least)));
    }
    const __m512i up = _mm512_add_epi32(least, _mm512_set1_epi32(1));
    return _mm512_mask_cmpge_epi32_mask(mask, count, half(_mm512_sub_epi32(up, offset)));
  }
};

template <BitOp op>
struct WriteFloats {
  const DotsB1& dots;
  const float* scale;
  const float* bias;
  float* y;
  ptrdiff_t stride;

  template <int... v, typename... Counts>
  [[gnu::always_inline]] void operator()(int i, std::integer_sequence<int, v...>,
                                         Counts... counts) const {
    const __m512i offset = _mm512_set1_epi32(dots.offsets[i]);
    (write(v, counts, offset, y + i * stride), ...);
  }

  [[gnu::always_inline]] void write(int v, __m512i count, __m512i offset, float* to) const {
    const __mmask16 mask = mask_below(16 * v, dots.n_cols);
    const __m512i twice = _mm512_add_epi32(count, count);
    const __m512i dot = op == BitOp::exclusive_or ? _mm512_sub_epi32(offset, twice)
                                                  : _mm512_add_epi32(offset, twice);
    const __m512 product = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, scale + 16 * v),
                                         _mm512_maskz_cvtepi32_ps(0xffff, dot));
    const __m512 sum = _mm512_add_ps(product, _mm512_maskz_loadu_ps(mask, bias + 16 * v));
    _mm512_mask_storeu_ps(to + 16 * v, mask, sum);
  }
};

// Computes all rows of a product, skipping vectors without outputs.
template <BitOp op, typename Write>
void run_dots(const DotsB1& dots, const Write& write) {
  with_rows<kVectors>((dots.n_cols + 15) / 16, [&](auto vectors) {
    for (int first = 0; first < dots.n_rows; first += kRows) {
      const int n = dots.n_rows - first < kRows ? dots.n_rows - first : kRows;
      with_rows<kRows>(n, [&](auto rows) {
        run_rows<op>(rows, vectors, dots.a, dots.a_stride, dots.panel, dots.n_words, first, write);
      });
    }
  });
}

}  // namespace

void gemm_b1_6x64_avx512_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                              uint64_t* panel) {
  auto* out = reinterpret_cast<uint32_t*>(panel);
  for (int k = 0; k < 2 * n_words; ++k) {
    for (int j = 0; j < kCols; ++j) {
      *out++ = j < n_cols ? static_cast<uint32_t>(w[j * stride + k / 2] >> (32 * (k % 2))) : 0;
    }
  }
}

void gemm_b1_6x64_avx512(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                         int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const WriteCounts write{c, c_stride};
  with_rows<kRows>(n_rows, [&](auto rows) {
    op == BitOp::exclusive_or
        ? run_rows<BitOp::exclusive_or>(rows, kAllVectors, a, a_stride, panel, n_words, 0, write)
        : run_rows<BitOp::conjunction>(rows, kAllVectors, a, a_stride, panel, n_words, 0, write);
  });
}

void gemm_b1_6x64_avx512_bits(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,
                              ptrdiff_t stride) {
  constexpr BitOp kXor = BitOp::exclusive_or;
  constexpr BitOp kAnd = BitOp::conjunction;
  dots.is_signed ? run_dots<kXor>(dots, WriteBits<kXor>{dots, threshold, bits, stride})
                 : run_dots<kAnd>(dots, WriteBits<kAnd>{dots, threshold, bits, stride});
}

void gemm_b1_6x64_avx512_floats(const DotsB1& dots, const float* scale, const float* bias, float* y,
                                ptrdiff_t stride) {
  constexpr BitOp kXor = BitOp::exclusive_or;
  constexpr BitOp kAnd = BitOp::conjunction;
  dots.is_signed ? run_dots<kXor>(dots, WriteFloats<kXor>{dots, scale, bias, y, stride})
                 : run_dots<kAnd>(dots, WriteFloats<kAnd>{dots, scale, bias, y, stride});
}

}  // namespace earbit
