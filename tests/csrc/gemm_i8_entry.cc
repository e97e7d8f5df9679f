// C names for one kernel of gemm_i8, KERNEL, which is compiled against emulated/immintrin.h and
// loaded by tests/runtime/test_avx512_emulated.py.
#include "kernels/gemm_i8.h"

#define PASTED(name, suffix) name##suffix
#define JOINED(name, suffix) PASTED(name, suffix)

namespace earbit {

void JOINED(KERNEL, _pack)(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel);
void KERNEL(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel, int n_k,
            int32_t* c, ptrdiff_t c_stride);

}  // namespace earbit

extern "C" {

void pack_i8(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel) {
  earbit::JOINED(KERNEL, _pack)(w, stride, n_cols, n_k, panel);
}

void multiply_i8(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel, int n_k,
                 int32_t* c, ptrdiff_t c_stride) {
  earbit::KERNEL(a, a_stride, n_rows, panel, n_k, c, c_stride);
}
}
