// C names for one kernel of gemm_b1, KERNEL, which is compiled against emulated/immintrin.h and
// loaded by tests/runtime/test_avx512_emulated.py.  ARRANGES: it can arrange rows once for many
// panels.
#include <memory>

#include "kernels/gemm_b1.h"

#define PASTED(name, suffix) name##suffix
#define JOINED(name, suffix) PASTED(name, suffix)

namespace earbit {

void JOINED(KERNEL, _pack)(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                           uint64_t* panel);
void KERNEL(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
            BitOp op, int32_t* c, ptrdiff_t c_stride);
void JOINED(KERNEL, _bits)(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,
                           ptrdiff_t stride);
void JOINED(KERNEL, _floats)(const DotsB1& dots, const float* scale, const float* bias, float* y,
                             ptrdiff_t stride);
void JOINED(KERNEL, _arrange)(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                              uint16_t* arranged);

namespace {

// Rows, and memory of their arranged form, if a test asks for it.
struct Product {
  Product(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
          int n_cols, int is_signed, const int32_t* offsets, [[maybe_unused]] int is_arranged)
      : dots{a, a_stride, n_rows, panel, n_words, n_cols, is_signed != 0, offsets} {
#if ARRANGES
    if (is_arranged == 0) return;
    arranged = std::make_unique<uint16_t[]>(static_cast<size_t>(n_rows + 1) / 2 * 16 * n_words);
    JOINED(KERNEL, _arrange)(a, a_stride, n_rows, n_words, arranged.get());
    dots.arranged = arranged.get();
#endif
  }

  std::unique_ptr<uint16_t[]> arranged;
  DotsB1 dots;
};

}  // namespace
}  // namespace earbit

extern "C" {

void pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel) {
  earbit::JOINED(KERNEL, _pack)(w, stride, n_cols, n_words, panel);
}

void count(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
           int is_and, int32_t* c, ptrdiff_t c_stride) {
  const auto op = is_and ? earbit::BitOp::conjunction : earbit::BitOp::exclusive_or;
  earbit::KERNEL(a, a_stride, n_rows, panel, n_words, op, c, c_stride);
}

void bits(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
          int n_cols, int is_signed, const int32_t* offsets, int is_arranged,
          const int32_t* threshold, uint64_t* bits, ptrdiff_t stride) {
  const earbit::Product product(a, a_stride, n_rows, panel, n_words, n_cols, is_signed, offsets,
                                is_arranged);
  earbit::JOINED(KERNEL, _bits)(product.dots, threshold, bits, stride);
}

void floats(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
            int n_cols, int is_signed, const int32_t* offsets, int is_arranged, const float* scale,
            const float* bias, float* y, ptrdiff_t stride) {
  const earbit::Product product(a, a_stride, n_rows, panel, n_words, n_cols, is_signed, offsets,
                                is_arranged);
  earbit::JOINED(KERNEL, _floats)(product.dots, scale, bias, y, stride);
}
}
