// c[i][j] = sum_k a[i][k] * w[j][k] for AVX2: 4 rows x 16 outputs in 8 sums.
//
// `vpmaddubsw` takes bytes but saturates at 32767, which two products of 8 bits exceed.  So codes
// and weights are 16 bits wide, and `vpmaddwd` adds pairs of products into int32.  Four codes of a
// row are broadcast as they are: codes 0 and 2 are left by a mask, 1 and 3 by a shift.
// Panel: per four k, weights 0 and 2 of the 16 outputs as pairs of int16, then weights 1 and 3.
#include <immintrin.h>

#include <cstring>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

constexpr int kCols = 16;
constexpr int kStep = 4 * kCols * 2;  // bytes of a panel per four k

__m256i weights_at(const uint8_t* panel) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
}

// Four codes of every row, of which the last may be missing, times four k of the panel.
template <int n_rows>
__attribute__((always_inline)) inline void multiply(const uint8_t* a, ptrdiff_t a_stride,
                                                    size_t n_codes, const uint8_t* panel,
                                                    __m256i (&sum)[n_rows][2]) {
  const __m256i even[2] = {weights_at(panel), weights_at(panel + 32)};
  const __m256i odd[2] = {weights_at(panel + 64), weights_at(panel + 96)};
  const __m256i mask = _mm256_set1_epi32(0x00ff00ff);
  for (int i = 0; i < n_rows; ++i) {
    int32_t codes = 0;
    std::memcpy(&codes, a + i * a_stride, n_codes);
    const __m256i x = _mm256_set1_epi32(codes);
    const __m256i x_even = _mm256_and_si256(x, mask);
    const __m256i x_odd = _mm256_srli_epi16(x, 8);
    for (int v = 0; v < 2; ++v) {
      sum[i][v] = _mm256_add_epi32(sum[i][v], _mm256_madd_epi16(x_even, even[v]));
      sum[i][v] = _mm256_add_epi32(sum[i][v], _mm256_madd_epi16(x_odd, odd[v]));
    }
  }
}

template <int n_rows>
void run_rows(const uint8_t* a, ptrdiff_t a_stride, const uint8_t* panel, int n_k, int32_t* c,
              ptrdiff_t c_stride) {
  __m256i sum[n_rows][2];
  for (int i = 0; i < n_rows; ++i) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
  for (; n_k >= 4; n_k -= 4, a += 4, panel += kStep) multiply(a, a_stride, 4, panel, sum);
  if (n_k > 0) multiply(a, a_stride, static_cast<size_t>(n_k), panel, sum);
  for (int i = 0; i < n_rows; ++i) {
    for (int v = 0; v < 2; ++v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + i * c_stride + 8 * v), sum[i][v]);
    }
  }
}

}  // namespace

void gemm_i8_4x16_avx2_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                            uint8_t* panel) {
  for (int first = 0; first < n_k; first += 4) {
    for (const int odd : {0, 1}) {
      for (int j = 0; j < kCols; ++j) {
        for (int k = first + odd; k < first + 4; k += 2, panel += 2) {
          const int16_t weight = j < n_cols && k < n_k ? w[j * stride + k] : 0;
          std::memcpy(panel, &weight, sizeof weight);
        }
      }
    }
  }
}

void gemm_i8_4x16_avx2(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                       int n_k, int32_t* c, ptrdiff_t c_stride) {
  switch (n_rows) {
    case 1:
      return run_rows<1>(a, a_stride, panel, n_k, c, c_stride);
    case 2:
      return run_rows<2>(a, a_stride, panel, n_k, c, c_stride);
    case 3:
      return run_rows<3>(a, a_stride, panel, n_k, c, c_stride);
    case 4:
      return run_rows<4>(a, a_stride, panel, n_k, c, c_stride);
    default:
      return;
  }
}

}  // namespace earbit
