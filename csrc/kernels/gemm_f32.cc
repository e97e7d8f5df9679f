#include "kernels/gemm_f32.h"

#include <algorithm>
#include <memory>

#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, rows, cols, name)                                                    \
  void name(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k, \
            const float* start, int n_cols, float* c, ptrdiff_t c_stride);
#include "kernels/gemm_f32.def"
#undef KERNEL

namespace {

constexpr int64_t kBlockRows = 72;  // stay in L2
constexpr int kMaxCols = 32;        // maximum over all kernels

// Rows of a block are copied to a contiguous buffer, because rows at distances of multiples of 4
// KiB, such as windows of a convolution over 512 channels, evict each other from L1.  The gap
// between copies prevents the same conflict.
constexpr int kCopyGap = 16;

}  // namespace

const std::vector<GemmF32Kernel>& gemm_f32_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<GemmF32Kernel>{
#define KERNEL(isa, rows, cols, name) {#name, Isa::isa, rows, cols, name},
#include "kernels/gemm_f32.def"
#undef KERNEL
  };
  return kernels;
}

const GemmF32Kernel& gemm_f32_kernel(Isa isa) { return best_of(gemm_f32_kernels(), isa); }

PanelsF32::PanelsF32(const GemmF32Kernel& kernel, int n_cols, int n_k)
    : kernel_(&kernel),
      n_cols_(n_cols),
      n_k_(n_k),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      weights_(static_cast<size_t>(n_panels_) * kernel.cols * n_k) {}

PanelsF32::PanelsF32(const GemmF32Kernel& kernel, const float* w, ptrdiff_t stride, int n_cols,
                     int n_k)
    : PanelsF32(kernel, n_cols, n_k) {
  for (int j = 0; j < n_cols; ++j) {
    float* panel = weights_.data() + static_cast<size_t>(j / kernel.cols) * kernel.cols * n_k;
    for (int k = 0; k < n_k; ++k) {
      panel[static_cast<size_t>(k) * kernel.cols + j % kernel.cols] = w[j * stride + k];
    }
  }
}

PanelsF32 PanelsF32::of_transposed(const GemmF32Kernel& kernel, const float* w, ptrdiff_t stride,
                                   int n_cols, int n_k) {
  PanelsF32 panels(kernel, n_cols, n_k);
  float* row = panels.weights_.data();
  for (int j = 0; j < n_cols; j += kernel.cols) {
    const int n_here = std::min(kernel.cols, n_cols - j);
    for (int k = 0; k < n_k; ++k, row += kernel.cols) std::copy_n(w + k * stride + j, n_here, row);
  }
  return panels;
}

void PanelsF32::run_panels(int first, int last, int most_k, const float* a, ptrdiff_t a_stride,
                           int64_t n_rows, const float* bias, float* c, ptrdiff_t c_stride) const {
  const ptrdiff_t stride = std::min(n_k_, most_k) + kCopyGap;
  const auto copy = std::make_unique_for_overwrite<float[]>(std::min(n_rows, kBlockRows) * stride);
  for (int64_t begin = 0; begin < n_rows; begin += kBlockRows) {
    const int64_t n_here = std::min(kBlockRows, n_rows - begin);
    const auto block = [&](int k, int block_k) {
      run_block(first, last, copy.get(), stride, k, block_k, n_here, bias, c + begin * c_stride,
                c_stride);
    };
    if (n_k_ == 0) block(0, 0);
    for (int k = 0; k < n_k_; k += most_k) {
      const int block_k = std::min(most_k, n_k_ - k);
      for (int64_t i = 0; i < n_here; ++i) {
        std::copy_n(a + (begin + i) * a_stride + k, block_k, copy.get() + i * stride);
      }
      block(k, block_k);
    }
  }
}

void PanelsF32::run_block(int first, int last, const float* a, ptrdiff_t a_stride, int k,
                          int block_k, int64_t n_rows, const float* bias, float* c,
                          ptrdiff_t c_stride) const {
  const int cols = kernel_->cols;
  for (int p = first; p < last; ++p) {
    const float* panel = weights_.data() + (static_cast<size_t>(p) * n_k_ + k) * cols;
    const int n_cols = std::min(cols, n_cols_ - p * cols);
    float start[kMaxCols] = {};
    if (bias != nullptr) std::copy_n(bias + p * cols, n_cols, start);
    for (int64_t i = 0; i < n_rows; i += kernel_->rows) {
      const auto n = static_cast<int>(std::min<int64_t>(kernel_->rows, n_rows - i));
      kernel_->run(a + i * a_stride, a_stride, n, panel, block_k, k == 0 ? start : nullptr, n_cols,
                   c + i * c_stride + (p - first) * cols, c_stride);
    }
  }
}

}  // namespace earbit
