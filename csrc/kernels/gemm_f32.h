// Float matrix product: c[i][j] (+)= sum_k a[i][k] * w[j][k].
//
// As in gemm_b1, a kernel multiplies a few rows with a panel of outputs, and rows of A may overlap.
// Sums are in the order of k, so results do not depend on the grouping of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

struct GemmF32Kernel {
  const char* name;
  Isa isa;
  int rows;  // maximum number of rows of A per call
  int cols;  // outputs in a panel

  // c[i * c_stride + j] = start[j] + products for i < n_rows, j < n_cols; panel: [n_k][cols].
  // If start is null, products are added to c.
  void (*run)(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k,
              const float* start, int n_cols, float* c, ptrdiff_t c_stride);
};

const std::vector<GemmF32Kernel>& gemm_f32_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const GemmF32Kernel& gemm_f32_kernel(Isa isa);

// Weights (n_cols, n_k) as panels, with the blocked product over them.
class PanelsF32 {
 public:
  PanelsF32(const GemmF32Kernel& kernel, const float* w, ptrdiff_t stride, int n_cols, int n_k);

  // From transposed weights (n_k, n_cols) with row stride `stride`.
  static PanelsF32 of_transposed(const GemmF32Kernel& kernel, const float* w, ptrdiff_t stride,
                                 int n_cols, int n_k);

  int panel_cols() const { return kernel_->cols; }
  int kernel_rows() const { return kernel_->rows; }

  // c[i][j] = bias[j] + sum_k a[i][k] w[j][k] for n_rows rows; bias may be null.
  void run(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* bias, float* c,
           ptrdiff_t c_stride) const {
    run_panels(0, n_panels_, kBlockK, a, a_stride, n_rows, bias, c, c_stride);
  }

  // The same without bias, with one sum over all k instead of a sum of sums over kBlockK each: k
  // with weights or inputs of zero at both ends, as many as there are, do not change the result.
  void run_in_one_sum(const float* a, ptrdiff_t a_stride, int64_t n_rows, float* c,
                      ptrdiff_t c_stride) const {
    run_panels(0, n_panels_, n_k_, a, a_stride, n_rows, nullptr, c, c_stride);
  }

  // The same for outputs [first_col, last_col), extended to whole panels: column 0 of c is the
  // first output of the panel of first_col.
  void run_columns(int first_col, int last_col, const float* a, ptrdiff_t a_stride, int64_t n_rows,
                   float* c, ptrdiff_t c_stride) const {
    run_panels(first_col / kernel_->cols, (last_col - 1) / kernel_->cols + 1, kBlockK, a, a_stride,
               n_rows, nullptr, c, c_stride);
  }

 private:
  // A panel of kBlockK and the rows that one kernel call reads stay in L1.
  static constexpr int kBlockK = 256;

  PanelsF32(const GemmF32Kernel& kernel, int n_cols, int n_k);

  void run_panels(int first, int last, int most_k, const float* a, ptrdiff_t a_stride,
                  int64_t n_rows, const float* bias, float* c, ptrdiff_t c_stride) const;

  // One block of k for a few rows.
  void run_block(int first, int last, const float* a, ptrdiff_t a_stride, int k, int block_k,
                 int64_t n_rows, const float* bias, float* c, ptrdiff_t c_stride) const;

  const GemmF32Kernel* kernel_;
  int n_cols_;
  int n_k_;
  int n_panels_;
  std::vector<float> weights_;
};

}  // namespace earbit
