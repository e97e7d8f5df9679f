#include "kernels/gemm_b1.h"

#include <algorithm>
#include <stdexcept>

namespace earbit {

#define KERNEL(isa, rows, cols, name)                                                              \
  void name##_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel); \
  void name(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words, \
            BitOp op, int32_t* c, ptrdiff_t c_stride);
#include "kernels/gemm_b1.def"
#undef KERNEL

const std::vector<GemmB1Kernel>& gemm_b1_kernels() {
  static const std::vector<GemmB1Kernel> kernels = {
#define KERNEL(isa, rows, cols, name) {#name, Isa::isa, rows, cols, name##_pack, name},
#include "kernels/gemm_b1.def"
#undef KERNEL
  };
  return kernels;
}

const GemmB1Kernel& gemm_b1_kernel(Isa isa) {
  for (const GemmB1Kernel& kernel : gemm_b1_kernels()) {
    if (kernel.isa == isa) return kernel;
  }
  throw std::invalid_argument("no gemm_b1 kernel for this instruction set");
}

PanelsB1::PanelsB1(const GemmB1Kernel& kernel, const uint64_t* w, ptrdiff_t stride, int n_cols,
                   int n_words)
    : kernel_(&kernel),
      n_words_(n_words),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      words_(static_cast<size_t>(n_panels_) * kernel.cols * n_words) {
  for (int p = 0; p < n_panels_; ++p) {
    const int first = p * kernel.cols;
    kernel.pack(w + static_cast<ptrdiff_t>(first) * stride, stride,
                std::min(kernel.cols, n_cols - first), n_words,
                words_.data() + static_cast<size_t>(first) * n_words);
  }
}

void PanelsB1::run(const uint64_t* a, ptrdiff_t a_stride, int n_rows, BitOp op, int32_t* c) const {
  for (int p = 0; p < n_panels_; ++p) {
    kernel_->run(a, a_stride, n_rows, panel(p), n_words_, op, c + p * kernel_->cols, padded_cols());
  }
}

}  // namespace earbit
