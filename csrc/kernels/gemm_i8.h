// Integer matrix product: c[i][j] = sum_k a[i][k] * w[j][k], a from 0 to 255, w from -128 to 127.
//
// As in gemm_b1, a kernel multiplies a few rows with a panel of outputs, and rows of A may overlap.
// Panels group k by four.  Sums are exact, and int32 overflows only beyond 65,793 products of the
// largest codes.
// The reference is gemm_i8_4x8_scalar.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

constexpr int kPanelStepI8 = 4;  // codes of a row per step of a panel

struct GemmI8Kernel {
  const char* name;
  Isa isa;
  int rows;         // maximum number of rows of A per call
  int cols;         // outputs in a panel
  int panel_bytes;  // bytes of a panel per weight

  // Lays out `n_cols` <= cols rows of n_k weights, `stride` apart, as one panel of cols * n_k *
  // panel_bytes bytes, n_k padded with zeros to a multiple of four.
  void (*pack)(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel);

  // c[i * c_stride + j] = sums for i < n_rows <= rows, j < cols.  For k a multiple of four,
  // the part of a panel from weight k starts at panel + k * cols * panel_bytes and is a panel too.
  void (*run)(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel, int n_k,
              int32_t* c, ptrdiff_t c_stride);
};

// All kernels of this build, the scalar one first.
const std::vector<GemmI8Kernel>& gemm_i8_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const GemmI8Kernel& gemm_i8_kernel(Isa isa);

// The same for stored weights of n_cols outputs: a kernel whose panels, including padding outputs,
// need at most kMaxPanelBytes per weight.
constexpr int kMaxPanelBytes = 8;
const GemmI8Kernel& gemm_i8_kernel_for(Isa isa, int n_cols);

// Weights of any number of outputs, as panels of one kernel.
class PanelsI8 {
 public:
  PanelsI8(const GemmI8Kernel& kernel, const int8_t* w, ptrdiff_t stride, int n_cols, int n_k);

  int n_panels() const { return n_panels_; }
  int padded_cols() const { return n_panels_ * kernel_->cols; }
  // Panel p from weight k, a multiple of four.
  const uint8_t* panel(int p, int64_t first_k = 0) const {
    return bytes_.data() + p * panel_size_ +
           static_cast<size_t>(first_k) * kernel_->cols * kernel_->panel_bytes;
  }
  const GemmI8Kernel& kernel() const { return *kernel_; }

  // Sums of any number of rows against all outputs; c has padded_cols() columns.  A panel is used
  // for all rows before the next one is read.
  void run(const uint8_t* a, ptrdiff_t a_stride, int n_rows, int32_t* c) const;

 private:
  const GemmI8Kernel* kernel_;
  int n_k_;
  int n_panels_;
  size_t panel_size_;
  std::vector<uint8_t> bytes_;
};

}  // namespace earbit
