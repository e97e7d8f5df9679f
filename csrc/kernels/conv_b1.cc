#include "kernels/conv_b1.h"

#include "bits/layout.h"

namespace earbit {

#if defined(__x86_64__)
void conv_b1_avx2_split(const uint64_t* x, int64_t n_frames, int n_words, int n_planes,
                        uint8_t* planes, ptrdiff_t stride);
void conv_b1_avx2_pack(const uint64_t* first, const uint64_t* second, int kernel, int n_words,
                       int n_planes, uint16_t* weights);
void conv_b1_avx2(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,
                  const uint16_t* weights, int n_outputs, BitOp op, uint16_t* counts);

const ConvB1Kernel* conv_b1_kernel(Isa isa) {
  static constexpr ConvB1Kernel kKernel{"conv_b1_4x64_avx2", Isa::avx2, conv_b1_avx2_split,
                                        conv_b1_avx2_pack, conv_b1_avx2};
  return isa >= Isa::avx2 ? &kKernel : nullptr;
}
#else
const ConvB1Kernel* conv_b1_kernel(Isa) { return nullptr; }
#endif

bool ConvB1Kernel::is_faster(Isa isa, int kernel, int n_bits, int n_outputs) {
  const auto pieces = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
  // Steps of three instructions or so: look-ups here, look-ups or vpopcntd there, for 64 frames.
  // Each plane ends with counts in 16 bits, which take as long as five taps.
  const int64_t here = 2 * (int64_t{kernel} + 5) * pieces(n_bits, 4) * pieces(n_outputs, 2);
  const int64_t words = kernel * words_for(n_bits);
  const int look_up_cols = isa == Isa::avx512bw ? 64 : 32;
  const int64_t there = isa == Isa::avx512 ? 128 * words * pieces(n_outputs, 16)
                                           : 512 * words * pieces(n_outputs, look_up_cols);
  // Frames are put into planes first, and counts into rows.
  return kernel > 1 && 5 * here < 4 * there;
}

}  // namespace earbit
