// C names for the AVX-512 VNNI kernel, which is compiled against emulated/immintrin.h and loaded by
// tests/runtime/test_avx512_emulated.py.
#include "kernels/gemm_i8.h"

namespace earbit {

void gemm_i8_6x64_avx512_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                              uint8_t* panel);
void gemm_i8_6x64_avx512(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                         int n_k, int32_t* c, ptrdiff_t c_stride);

}  // namespace earbit

extern "C" {

void pack_i8(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel) {
  earbit::gemm_i8_6x64_avx512_pack(w, stride, n_cols, n_k, panel);
}

void multiply_i8(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel, int n_k,
                 int32_t* c, ptrdiff_t c_stride) {
  earbit::gemm_i8_6x64_avx512(a, a_stride, n_rows, panel, n_k, c, c_stride);
}
}
