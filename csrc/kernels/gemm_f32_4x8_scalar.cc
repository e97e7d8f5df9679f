// c[i][j] = start[j] + sum_k a[i][k] * w[k][j] in plain C++, the reference of the other kernels.
#include "kernels/gemm_f32.h"

namespace earbit {

void gemm_f32_4x8_scalar(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel,
                         int n_k, const float* start, int n_cols, float* c, ptrdiff_t c_stride) {
  constexpr int kCols = 8;
  for (int i = 0; i < n_rows; ++i) {
    float sum[kCols] = {};
    for (int k = 0; k < n_k; ++k) {
      const float x = a[i * a_stride + k];
      for (int j = 0; j < kCols; ++j) sum[j] += x * panel[k * kCols + j];
    }
    float* out = c + i * c_stride;
    const float* before = start == nullptr ? out : start;
    for (int j = 0; j < n_cols; ++j) out[j] = before[j] + sum[j];
  }
}

}  // namespace earbit
