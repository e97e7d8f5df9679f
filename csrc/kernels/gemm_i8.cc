#include "kernels/gemm_i8.h"

#include <algorithm>

#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, rows, cols, panel_bytes, name)                                           \
  void name##_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel);  \
  void name(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel, int n_k, \
            int32_t* c, ptrdiff_t c_stride);
#include "kernels/gemm_i8.def"
#undef KERNEL

const std::vector<GemmI8Kernel>& gemm_i8_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<GemmI8Kernel>{
#define KERNEL(isa, rows, cols, panel_bytes, name) \
  {#name, Isa::isa, rows, cols, panel_bytes, name##_pack, name},
#include "kernels/gemm_i8.def"
#undef KERNEL
  };
  return kernels;
}

const GemmI8Kernel& gemm_i8_kernel(Isa isa) { return best_of(gemm_i8_kernels(), isa); }

const GemmI8Kernel& gemm_i8_kernel_for(Isa isa, int n_cols) {
  // The first kernel is the scalar one, whose panels are narrow enough for a single output.
  const GemmI8Kernel* best = &gemm_i8_kernels().front();
  for (const GemmI8Kernel& kernel : gemm_i8_kernels()) {
    const int64_t padded = (int64_t{n_cols} + kernel.cols - 1) / kernel.cols * kernel.cols;
    const bool fits = padded * kernel.panel_bytes <= int64_t{kMaxPanelBytes} * n_cols;
    if (includes(isa, kernel.isa) && fits) best = &kernel;
  }
  return *best;
}

namespace {

int rounded_up(int n_k) { return (n_k + kPanelStepI8 - 1) / kPanelStepI8 * kPanelStepI8; }

}  // namespace

PanelsI8::PanelsI8(const GemmI8Kernel& kernel, const int8_t* w, ptrdiff_t stride, int n_cols,
                   int n_k)
    : kernel_(&kernel),
      n_k_(n_k),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      panel_size_(static_cast<size_t>(kernel.cols) * kernel.panel_bytes * rounded_up(n_k)),
      bytes_(n_panels_ * panel_size_) {
  for (int p = 0; p < n_panels_; ++p) {
    const int first = p * kernel.cols;
    kernel.pack(w + static_cast<ptrdiff_t>(first) * stride, stride,
                std::min(kernel.cols, n_cols - first), n_k, bytes_.data() + p * panel_size_);
  }
}

void PanelsI8::run(const uint8_t* a, ptrdiff_t a_stride, int n_rows, int32_t* c) const {
  for (int p = 0; p < n_panels_; ++p) {
    for (int i = 0; i < n_rows; i += kernel_->rows) {
      kernel_->run(a + i * a_stride, a_stride, std::min(kernel_->rows, n_rows - i), panel(p), n_k_,
                   c + static_cast<ptrdiff_t>(i) * padded_cols() + p * kernel_->cols,
                   padded_cols());
    }
  }
}

}  // namespace earbit
