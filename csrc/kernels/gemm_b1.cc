#include "kernels/gemm_b1.h"

#include <algorithm>

#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, rows, cols, panel_words, name)                                                 \
  void name##_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel); \
  void name(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words, \
            BitOp op, int32_t* c, ptrdiff_t c_stride);
#include "kernels/gemm_b1.def"
#undef KERNEL

const std::vector<GemmB1Kernel>& gemm_b1_kernels() {
  static const std::vector<GemmB1Kernel> kernels = {
#define KERNEL(isa, rows, cols, panel_words, name) \
  {#name, Isa::isa, rows, cols, panel_words, name##_pack, name},
#include "kernels/gemm_b1.def"
#undef KERNEL
  };
  return kernels;
}

const GemmB1Kernel& gemm_b1_kernel(Isa isa) { return best_of(gemm_b1_kernels(), isa); }

PanelsB1::PanelsB1(const GemmB1Kernel& kernel, const uint64_t* w, ptrdiff_t stride, int n_cols,
                   int n_words)
    : kernel_(&kernel),
      n_words_(n_words),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      words_(n_panels_ * word_size() * n_words) {
  for (int p = 0; p < n_panels_; ++p) {
    const int first = p * kernel.cols;
    kernel.pack(w + static_cast<ptrdiff_t>(first) * stride, stride,
                std::min(kernel.cols, n_cols - first), n_words,
                words_.data() + p * word_size() * n_words);
  }
}

void PanelsB1::run(const uint64_t* a, ptrdiff_t a_stride, int n_rows, BitOp op, int32_t* c) const {
  for (int p = 0; p < n_panels_; ++p) {
    for (int i = 0; i < n_rows; i += kernel_->rows) {
      kernel_->run(a + i * a_stride, a_stride, std::min(kernel_->rows, n_rows - i), panel(p),
                   n_words_, op, c + static_cast<ptrdiff_t>(i) * padded_cols() + p * kernel_->cols,
                   padded_cols());
    }
  }
}

}  // namespace earbit
