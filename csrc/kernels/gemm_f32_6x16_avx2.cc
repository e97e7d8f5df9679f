// c[i][j] += sum_k a[i][k] * w[k][j] for AVX2 with FMA: 6 rows x 16 outputs in 12 accumulators.
#include <immintrin.h>

#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

template <int n_rows>
void run_rows(const float* a, ptrdiff_t a_stride, const float* panel, int n_k, int n_cols, float* c,
              ptrdiff_t c_stride) {
  __m256 sum[n_rows][2];
  for (int i = 0; i < n_rows; ++i) sum[i][0] = sum[i][1] = _mm256_setzero_ps();
  for (int k = 0; k < n_k; ++k, panel += 16) {
    const __m256 w0 = _mm256_loadu_ps(panel);
    const __m256 w1 = _mm256_loadu_ps(panel + 8);
    for (int i = 0; i < n_rows; ++i) {
      const __m256 x = _mm256_broadcast_ss(a + i * a_stride + k);
      sum[i][0] = _mm256_fmadd_ps(x, w0, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(x, w1, sum[i][1]);
    }
  }
  for (int i = 0; i < n_rows; ++i) {
    float* out = c + i * c_stride;
    if (n_cols == 16) {
      _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), sum[i][0]));
      _mm256_storeu_ps(out + 8, _mm256_add_ps(_mm256_loadu_ps(out + 8), sum[i][1]));
    } else {
      alignas(32) float row[16];
      _mm256_store_ps(row, sum[i][0]);
      _mm256_store_ps(row + 8, sum[i][1]);
      for (int j = 0; j < n_cols; ++j) out[j] += row[j];
    }
  }
}

}  // namespace

void gemm_f32_6x16_avx2(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k,
                        int n_cols, float* c, ptrdiff_t c_stride) {
  switch (n_rows) {
    case 1:
      return run_rows<1>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    case 2:
      return run_rows<2>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    case 3:
      return run_rows<3>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    case 4:
      return run_rows<4>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    case 5:
      return run_rows<5>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    case 6:
      return run_rows<6>(a, a_stride, panel, n_k, n_cols, c, c_stride);
    default:
      return;
  }
}

}  // namespace earbit
