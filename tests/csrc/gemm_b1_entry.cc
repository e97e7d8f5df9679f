// C names for the AVX-512 kernels, which are compiled against emulated/immintrin.h and loaded by
// tests/runtime/test_avx512_emulated.py.
#include "kernels/depthwise_b1.h"
#include "kernels/gemm_b1.h"

namespace earbit {

void gemm_b1_6x64_avx512_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                              uint64_t* panel);
void gemm_b1_6x64_avx512(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                         int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride);
void gemm_b1_6x64_avx512_bits(const DotsB1& dots, const int32_t* threshold, uint64_t* bits,
                              ptrdiff_t stride);
void gemm_b1_6x64_avx512_floats(const DotsB1& dots, const float* scale, const float* bias, float* y,
                                ptrdiff_t stride);
void depthwise_b1_8_avx512(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                           int shift, bool is_unsigned, int32_t* dot);

}  // namespace earbit

extern "C" {

void pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel) {
  earbit::gemm_b1_6x64_avx512_pack(w, stride, n_cols, n_words, panel);
}

void count(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
           int is_and, int32_t* c, ptrdiff_t c_stride) {
  const auto op = is_and ? earbit::BitOp::conjunction : earbit::BitOp::exclusive_or;
  earbit::gemm_b1_6x64_avx512(a, a_stride, n_rows, panel, n_words, op, c, c_stride);
}

void bits(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
          int n_cols, int is_signed, const int32_t* offsets, const int32_t* threshold,
          uint64_t* bits, ptrdiff_t stride) {
  const earbit::DotsB1 dots{a, a_stride, n_rows, panel, n_words, n_cols, is_signed != 0, offsets};
  earbit::gemm_b1_6x64_avx512_bits(dots, threshold, bits, stride);
}

void floats(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
            int n_cols, int is_signed, const int32_t* offsets, const float* scale,
            const float* bias, float* y, ptrdiff_t stride) {
  const earbit::DotsB1 dots{a, a_stride, n_rows, panel, n_words, n_cols, is_signed != 0, offsets};
  earbit::gemm_b1_6x64_avx512_floats(dots, scale, bias, y, stride);
}

void depthwise(const uint64_t* x, const uint64_t* w, int n_channels, int kernel, int shift,
               int is_unsigned, int32_t* dot) {
  earbit::depthwise_b1_8_avx512(x, w, n_channels, kernel, shift, is_unsigned != 0, dot);
}
}
