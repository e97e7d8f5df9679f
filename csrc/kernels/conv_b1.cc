#include "kernels/conv_b1.h"

#include "bits/layout.h"

namespace earbit {

#define KERNEL(function)                                                                       \
  void function##_split(const uint64_t* x, int64_t n_frames, int n_words, int n_planes,        \
                        uint8_t* planes, ptrdiff_t stride);                                    \
  void function##_pack(const uint64_t* first, const uint64_t* second, int kernel, int n_words, \
                       int n_planes, uint16_t* weights);                                       \
  void function(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,             \
                const uint16_t* weights, int n_outputs, BitOp op, uint16_t* counts);
#if defined(__x86_64__)
KERNEL(conv_b1_avx2)
#elif defined(__aarch64__)
KERNEL(conv_b1_neon)
#endif
#undef KERNEL

const ConvB1Kernel* conv_b1_kernel([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  static constexpr ConvB1Kernel kKernel{"conv_b1_4x64_avx2", Isa::avx2,         4,
                                        conv_b1_avx2_split,  conv_b1_avx2_pack, conv_b1_avx2};
  return isa >= Isa::avx2 ? &kKernel : nullptr;
#elif defined(__aarch64__)
  static constexpr ConvB1Kernel kKernel{"conv_b1_4x64_neon", Isa::neon,         8,
                                        conv_b1_neon_split,  conv_b1_neon_pack, conv_b1_neon};
  return isa >= Isa::neon ? &kKernel : nullptr;
#else
  return nullptr;
#endif
}

bool ConvB1Kernel::is_faster(Isa isa, int kernel, int n_bits, int n_outputs) {
  const auto pieces = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
  if (isa == Isa::neon || isa == Isa::dotprod) {
    // Steps of a byte with 64 lanes on both sides: frames here, outputs there, of 64 frames each.
    // Each plane ends with counts in 16 bits, which take as long as five taps.
    const int64_t here = (int64_t{kernel} + 5) * pieces(n_bits, 8) * n_outputs;
    const int64_t there = 64 * kernel * 8 * words_for(n_bits) * pieces(n_outputs, 64);
    return kernel > 1 && 5 * here < 4 * there;
  }
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
