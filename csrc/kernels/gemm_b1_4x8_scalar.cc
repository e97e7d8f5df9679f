// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) in plain C++, the reference of all other kernels.
// Panel: word k of the 8 outputs, adjacent.
#include "bits/layout.h"
#include "kernels/gemm_b1.h"

namespace earbit {

constexpr int kCols = 8;

void gemm_b1_4x8_scalar_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                             uint64_t* panel) {
  for (int k = 0; k < n_words; ++k) {
    for (int j = 0; j < kCols; ++j) panel[k * kCols + j] = j < n_cols ? w[j * stride + k] : 0;
  }
}

void gemm_b1_4x8_scalar(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                        int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  for (int i = 0; i < n_rows; ++i) {
    int32_t counts[kCols] = {};
    for (int k = 0; k < n_words; ++k) {
      const uint64_t x = a[i * a_stride + k];
      for (int j = 0; j < kCols; ++j) {
        const uint64_t w = panel[k * kCols + j];
        counts[j] += popcount(op == BitOp::exclusive_or ? x ^ w : x & w);
      }
    }
    for (int j = 0; j < kCols; ++j) c[i * c_stride + j] = counts[j];
  }
}

}  // namespace earbit
