// c[i][j] = start[j] + sum_k a[i][k] * w[k][j] for AVX2 with FMA: 6 rows x 16 outputs in 12 sums.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

#include "kernels/with_rows.h"

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const float* a, ptrdiff_t a_stride,
              const float* panel, int n_k, const float* start, int n_cols, float* c,
              ptrdiff_t c_stride) {
  __m256 low[sizeof...(row)];
  __m256 high[sizeof...(row)];
  ((low[row] = high[row] = _mm256_setzero_ps()), ...);
  for (int k = 0; k < n_k; ++k, panel += 16) {
    const __m256 w0 = _mm256_loadu_ps(panel);
    const __m256 w1 = _mm256_loadu_ps(panel + 8);
    __m256 x;
    ((x = _mm256_broadcast_ss(a + row * a_stride + k), low[row] = _mm256_fmadd_ps(x, w0, low[row]),
      high[row] = _mm256_fmadd_ps(x, w1, high[row])),
     ...);
  }
  const auto finish = [&](float* out, __m256 first, __m256 second) {
    const float* before = start == nullptr ? out : start;
    if (n_cols == 16) {
      _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(before), first));
      _mm256_storeu_ps(out + 8, _mm256_add_ps(_mm256_loadu_ps(before + 8), second));
    } else {
      alignas(32) float sum[16];
      _mm256_store_ps(sum, first);
      _mm256_store_ps(sum + 8, second);
      for (int j = 0; j < n_cols; ++j) out[j] = before[j] + sum[j];
    }
  };
  (finish(c + row * c_stride, low[row], high[row]), ...);
}

}  // namespace

void gemm_f32_6x16_avx2(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k,
                        const float* start, int n_cols, float* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) {
    run_rows(rows, a, a_stride, panel, n_k, start, n_cols, c, c_stride);
  };
  with_rows<6>(n_rows, run);
}

}  // namespace earbit
