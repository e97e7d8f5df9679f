#include "kernels/gemm_f32.h"

#include <algorithm>

#include "cpu/thread_pool.h"

namespace earbit {

#define KERNEL(isa, rows, cols, name)                                                    \
  void name(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k, \
            int n_cols, float* c, ptrdiff_t c_stride);
#include "kernels/gemm_f32.def"
#undef KERNEL

namespace {

// A block of rows x a block of k stays in L2, a panel of the same k in L1.
constexpr int kBlockRows = 72;
constexpr int kBlockK = 384;

}  // namespace

const std::vector<GemmF32Kernel>& gemm_f32_kernels() {
  static const std::vector<GemmF32Kernel> kernels = {
#define KERNEL(isa, rows, cols, name) {#name, Isa::isa, rows, cols, name},
#include "kernels/gemm_f32.def"
#undef KERNEL
  };
  return kernels;
}

const GemmF32Kernel& gemm_f32_kernel(Isa isa) {
  const std::vector<GemmF32Kernel>& kernels = gemm_f32_kernels();
  const GemmF32Kernel* best = &kernels.front();
  for (const GemmF32Kernel& kernel : kernels) {
    if (kernel.isa <= isa) best = &kernel;
  }
  return *best;
}

PanelsF32::PanelsF32(const GemmF32Kernel& kernel, const float* w, ptrdiff_t stride, int n_cols,
                     int n_k)
    : kernel_(&kernel),
      n_cols_(n_cols),
      n_k_(n_k),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      weights_(static_cast<size_t>(n_panels_) * kernel.cols * n_k) {
  for (int j = 0; j < n_cols; ++j) {
    float* panel = weights_.data() + static_cast<size_t>(j / kernel.cols) * kernel.cols * n_k;
    for (int k = 0; k < n_k; ++k) {
      panel[static_cast<size_t>(k) * kernel.cols + j % kernel.cols] = w[j * stride + k];
    }
  }
}

void PanelsF32::run(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* bias, float* c,
                    ptrdiff_t c_stride, int n_threads) const {
  const int cols = kernel_->cols;
  parallel_for(n_rows, kBlockRows, n_threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int j = 0; j < n_cols_; ++j) c[i * c_stride + j] = bias == nullptr ? 0.0f : bias[j];
    }
    for (int k = 0; k < n_k_; k += kBlockK) {
      const int block_k = std::min(kBlockK, n_k_ - k);
      for (int p = 0; p < n_panels_; ++p) {
        const float* panel = weights_.data() + (static_cast<size_t>(p) * n_k_ + k) * cols;
        for (int64_t i = begin; i < end; i += kernel_->rows) {
          kernel_->run(a + i * a_stride + k, a_stride,
                       static_cast<int>(std::min<int64_t>(kernel_->rows, end - i)), panel, block_k,
                       std::min(cols, n_cols_ - p * cols), c + i * c_stride + p * cols, c_stride);
        }
      }
    }
  });
}

}  // namespace earbit
