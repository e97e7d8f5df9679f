// A C name for the AVX-512 kernel of depthwise_b1, which is compiled against emulated/immintrin.h
// and loaded by tests/runtime/test_avx512_emulated.py.
#include "kernels/depthwise_b1.h"

namespace earbit {

void depthwise_b1_8_avx512(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                           int shift, bool is_unsigned, int32_t* dot);

}  // namespace earbit

extern "C" void depthwise(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                          int shift, int is_unsigned, int32_t* dot) {
  earbit::depthwise_b1_8_avx512(x, w, n_channels, kernel, shift, is_unsigned != 0, dot);
}
