#include "kernels/gemm_b1.h"

#include <algorithm>

#include "bits/layout.h"
#include "kernels/best_of.h"
#include "kernels/elementwise.h"

namespace earbit {

#define KERNEL(isa, rows, cols, panel_words, name, direct_words, bits, floats, arrange)            \
  void name##_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel); \
  void name(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words, \
            BitOp op, int32_t* c, ptrdiff_t c_stride);
#include "kernels/gemm_b1.def"
#undef KERNEL
#define DIRECT(name)                                                                      \
  void name##_bits(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,          \
                   ptrdiff_t stride);                                                     \
  void name##_floats(const DotsB1& dots, const float* scale, const float* bias, float* y, \
                     ptrdiff_t stride);
DIRECT(gemm_b1_4x64_avx2)
DIRECT(gemm_b1_8x64_avx512bw)
DIRECT(gemm_b1_6x64_avx512)
#undef DIRECT
void gemm_b1_4x64_avx2_arrange(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                               uint16_t* arranged);
void gemm_b1_8x64_avx512bw_arrange(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                                   uint16_t* arranged);

namespace {

// Calls use(tile, first) for the counts of a few rows from `first` on at a time.
template <typename Use>
void count_tiles(const GemmB1Kernel& kernel, const DotsB1& dots, Use&& use) {
  constexpr int kMost = 8 * 64;
  int32_t counts[kMost];
  const BitOp op = dots.is_signed ? BitOp::exclusive_or : BitOp::conjunction;
  for (int i = 0; i < dots.n_rows; i += kernel.rows) {
    const int n = std::min(kernel.rows, dots.n_rows - i);
    kernel.run(dots.a + i * dots.a_stride, dots.a_stride, n, dots.panel, dots.n_words, op, counts,
               kernel.cols);
    use(DotTile{counts, kernel.cols, n, dots.n_cols, dots.is_signed, dots.offsets + i}, i);
  }
}

bool is_direct(const GemmB1Kernel& kernel, const DotsB1& dots) {
  if (kernel.bits == nullptr || dots.n_words > kernel.direct_words) return false;
  const int32_t most = kWordBits * kernel.direct_words;
  return std::all_of(dots.offsets, dots.offsets + dots.n_rows,
                     [&](int32_t offset) { return offset >= -most && offset <= most; });
}

}  // namespace

const std::vector<GemmB1Kernel>& gemm_b1_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<GemmB1Kernel>{
#define KERNEL(isa, rows, cols, panel_words, name, direct_words, bits, floats, arrange) \
  {#name, Isa::isa,     rows, cols,   panel_words, name##_pack,                         \
   name,  direct_words, bits, floats, arrange},
#include "kernels/gemm_b1.def"
#undef KERNEL
  };
  return kernels;
}

const GemmB1Kernel& gemm_b1_kernel(Isa isa) { return best_of(gemm_b1_kernels(), isa); }

void to_bits(const GemmB1Kernel& kernel, const DotsB1& dots, const int32_t* threshold,
             uint64_t* bits, ptrdiff_t stride) {
  if (is_direct(kernel, dots)) return kernel.bits(dots, threshold, bits, stride);
  const ElementwiseKernels& elementwise = elementwise_kernels(kernel.isa);
  count_tiles(kernel, dots, [&](const DotTile& tile, int first) {
    elementwise.pack_dots(tile, threshold, bits + first * stride, stride);
  });
}

void to_floats(const GemmB1Kernel& kernel, const DotsB1& dots, const float* scale,
               const float* bias, float* y, ptrdiff_t stride) {
  if (is_direct(kernel, dots)) return kernel.floats(dots, scale, bias, y, stride);
  const ElementwiseKernels& elementwise = elementwise_kernels(kernel.isa);
  count_tiles(kernel, dots, [&](const DotTile& tile, int first) {
    elementwise.scale_dots(tile, scale, bias, y + first * stride, stride);
  });
}

PanelsB1::PanelsB1(const GemmB1Kernel& kernel, const uint64_t* w, ptrdiff_t stride, int n_cols,
                   int n_words)
    : kernel_(&kernel),
      n_words_(n_words),
      n_panels_((n_cols + kernel.cols - 1) / kernel.cols),
      lines_(std::max<size_t>(1, n_panels_ * word_size() * n_words / std::size(Line().words))) {
  for (int p = 0; p < n_panels_; ++p) {
    const int first = p * kernel.cols;
    kernel.pack(w + static_cast<ptrdiff_t>(first) * stride, stride,
                std::min(kernel.cols, n_cols - first), n_words,
                lines_.front().words + p * word_size() * n_words);
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
