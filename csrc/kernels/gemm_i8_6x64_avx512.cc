// c[i][j] = sum_k a[i][k] * w[j][k] for AVX-512 with VNNI.
//
// 6 rows x 64 outputs = 24 accumulators of 16 int32 each.  Four codes of a row are broadcast;
// `vpdpbusd` multiplies them with four weights of every output and adds all four products, exactly.
// Panel: per four k, the four weights of each of the 64 outputs side by side.
#include <immintrin.h>

#include <cstring>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

constexpr int kRows = 6;
constexpr int kCols = 64;
constexpr int kVectors = kCols / 16;

// Four codes of every row, of which the last may be missing, times four k of the panel.
template <int n_rows>
__attribute__((always_inline)) inline void multiply(const uint8_t* a, ptrdiff_t a_stride,
                                                    size_t n_codes, const uint8_t* panel,
                                                    __m512i (&sum)[n_rows][kVectors]) {
  __m512i weight[kVectors];
  for (int v = 0; v < kVectors; ++v) weight[v] = _mm512_loadu_si512(panel + 64 * v);
  for (int i = 0; i < n_rows; ++i) {
    int32_t codes = 0;
    std::memcpy(&codes, a + i * a_stride, n_codes);
    const __m512i x = _mm512_set1_epi32(codes);
    for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_dpbusd_epi32(sum[i][v], x, weight[v]);
  }
}

template <int n_rows>
void run_rows(const uint8_t* a, ptrdiff_t a_stride, const uint8_t* panel, int n_k, int32_t* c,
              ptrdiff_t c_stride) {
  __m512i sum[n_rows][kVectors];
  for (int i = 0; i < n_rows; ++i) {
    for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_setzero_si512();
  }
  for (; n_k >= 4; n_k -= 4, a += 4, panel += 4 * kCols) multiply(a, a_stride, 4, panel, sum);
  if (n_k > 0) multiply(a, a_stride, static_cast<size_t>(n_k), panel, sum);
  for (int i = 0; i < n_rows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      _mm512_storeu_si512(c + i * c_stride + 16 * v, sum[i][v]);
    }
  }
}

}  // namespace

void gemm_i8_6x64_avx512_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                              uint8_t* panel) {
  for (int first = 0; first < n_k; first += 4) {
    for (int j = 0; j < kCols; ++j) {
      for (int k = first; k < first + 4; ++k) {
        *panel++ = static_cast<uint8_t>(j < n_cols && k < n_k ? w[j * stride + k] : 0);
      }
    }
  }
}

void gemm_i8_6x64_avx512(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
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
    case 5:
      return run_rows<5>(a, a_stride, panel, n_k, c, c_stride);
    case kRows:
      return run_rows<kRows>(a, a_stride, panel, n_k, c, c_stride);
    default:
      return;
  }
}

}  // namespace earbit
