// c[i][j] = sum_k a[i][k] * w[j][k] in plain C++, the reference of all other kernels.
// Panel: weight k of the 8 outputs, adjacent.
#include "kernels/gemm_i8.h"

namespace earbit {

constexpr int kCols = 8;

void gemm_i8_4x8_scalar_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                             uint8_t* panel) {
  for (int k = 0; k < n_k; ++k) {
    for (int j = 0; j < kCols; ++j) {
      panel[k * kCols + j] = static_cast<uint8_t>(j < n_cols ? w[j * stride + k] : 0);
    }
  }
}

void gemm_i8_4x8_scalar(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                        int n_k, int32_t* c, ptrdiff_t c_stride) {
  for (int i = 0; i < n_rows; ++i) {
    int32_t sums[kCols] = {};
    for (int k = 0; k < n_k; ++k) {
      const int32_t x = a[i * a_stride + k];
      for (int j = 0; j < kCols; ++j) sums[j] += x * static_cast<int8_t>(panel[k * kCols + j]);
    }
    for (int j = 0; j < kCols; ++j) c[i * c_stride + j] = sums[j];
  }
}

}  // namespace earbit
