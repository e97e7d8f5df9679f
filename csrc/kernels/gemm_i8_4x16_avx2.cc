// c[i][j] = sum_k a[i][k] * w[j][k] for AVX2: 4 rows x 16 outputs in 8 sums.
//
// `vpmaddubsw` takes bytes but saturates at 32767, which two products of 8 bits exceed.  So codes
// and weights are 16 bits wide, and `vpmaddwd` adds pairs of products into int32.  Four codes of a
// row are broadcast as bytes: a mask extracts codes 0 and 2, a shift codes 1 and 3.  Weights are
// bytes in memory, because few rows at a time, as in a stream, wait for them.
// Panel: per four k, weights 0 and 2 of the 16 outputs in turn, then weights 1 and 3.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

#include "kernels/fours_i8.h"
#include "kernels/with_rows.h"

constexpr int kCols = 16;
constexpr int kStep = 4 * kCols;  // bytes of a panel per four k

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// 16 bytes as int16.
__m256i widened(const uint8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

void store(int32_t* to, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }

// Weights of four k: even and odd weights of the first 8 outputs, then of the last 8.
struct Weights {
  explicit Weights(const uint8_t* panel)
      : even{widened(panel), widened(panel + 16)}, odd{widened(panel + 32), widened(panel + 48)} {}

  // Adds their products with four codes of a row.
  void add_to(__m256i& low, __m256i& high, int32_t codes) const {
    const __m256i x = _mm256_set1_epi32(codes);
    const __m256i x_even = _mm256_and_si256(x, _mm256_set1_epi32(0x00ff00ff));
    const __m256i x_odd = _mm256_srli_epi16(x, 8);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(x_even, even[0]));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(x_even, even[1]));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(x_odd, odd[0]));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(x_odd, odd[1]));
  }

  __m256i even[2];
  __m256i odd[2];
};

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const uint8_t* panel, int n_k, int32_t* c, ptrdiff_t c_stride) {
  __m256i low[sizeof...(row)];
  __m256i high[sizeof...(row)];
  ((low[row] = high[row] = _mm256_setzero_si256()), ...);
  for (; n_k >= 4; n_k -= 4, a += 4, panel += kStep) {
    const Weights weights(panel);
    (weights.add_to(low[row], high[row], codes_at(a + row * a_stride, 4)), ...);
  }
  ((store(c + row * c_stride, low[row]), store(c + row * c_stride + 8, high[row])), ...);
  // The last one to three codes of a row, after the loop, where they need no registers of sums.
  for (int i = 0; n_k > 0 && i < static_cast<int>(sizeof...(row)); ++i) {
    int32_t* out = c + i * c_stride;
    __m256i first = load(out);
    __m256i second = load(out + 8);
    Weights(panel).add_to(first, second, codes_at(a + i * a_stride, static_cast<size_t>(n_k)));
    store(out, first);
    store(out + 8, second);
  }
}

}  // namespace

void gemm_i8_4x16_avx2_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                            uint8_t* panel) {
  // In four rows of four weights: weights 0 and 2 of every row, then 1 and 3.
  const __m128i split = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  for (int first = 0; first < n_k; first += 4, panel += kStep) {
    alignas(16) int32_t weights[kCols] = {};
    const int n = n_k - first;
    for (int j = 0; j < n_cols; ++j) {
      const int8_t* from = w + j * stride + first;
      std::memcpy(weights + j, from, n < 4 ? static_cast<size_t>(n) : 4);
    }
    __m128i rows[4];
    for (int i = 0; i < 4; ++i) {
      rows[i] = _mm_shuffle_epi8(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 4 * i)),
                                 split);
    }
    auto* out = reinterpret_cast<__m128i*>(panel);
    _mm_storeu_si128(out, _mm_unpacklo_epi64(rows[0], rows[1]));
    _mm_storeu_si128(out + 1, _mm_unpacklo_epi64(rows[2], rows[3]));
    _mm_storeu_si128(out + 2, _mm_unpackhi_epi64(rows[0], rows[1]));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi64(rows[2], rows[3]));
  }
}

void gemm_i8_4x16_avx2(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                       int n_k, int32_t* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) { run_rows(rows, a, a_stride, panel, n_k, c, c_stride); };
  with_rows<4>(n_rows, run);
}

}  // namespace earbit
