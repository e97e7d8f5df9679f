// dot[c] = kernel - 2 popcount(window[c] xor w[c]), or 2 popcount(window[c] and w[c]) -
// popcount(window[c]), for NEON: 8 channels at a time, one 64-bit word each, two per register.
#include <arm_neon.h>

#include "kernels/depthwise_b1.h"

namespace earbit {
namespace {

// One bits of 8 words: bytes are counted, then added pair by pair until a word has one sum.
[[gnu::always_inline]] inline uint16x8_t ones_of(const uint64x2_t (&words)[4]) {
  uint8x16_t counts[4];
  for (int v = 0; v < 4; ++v) counts[v] = vcntq_u8(vreinterpretq_u8_u64(words[v]));
  return vpaddlq_u8(vpaddq_u8(vpaddq_u8(counts[0], counts[1]), vpaddq_u8(counts[2], counts[3])));
}

struct Sums {
  void add(uint16x8_t counts) {
    low = vaddw_u16(low, vget_low_u16(counts));
    high = vaddw_u16(high, vget_high_u16(counts));
  }

  uint32x4_t low = vdupq_n_u32(0);
  uint32x4_t high = vdupq_n_u32(0);
};

template <bool is_unsigned>
int32x4_t dots(uint32x4_t counts, uint32x4_t ones, int32_t length) {
  const int32x4_t twice = vreinterpretq_s32_u32(vaddq_u32(counts, counts));
  return is_unsigned ? vsubq_s32(twice, vreinterpretq_s32_u32(ones))
                     : vsubq_s32(vdupq_n_s32(length), twice);
}

template <bool is_unsigned>
void run(const uint64_t* x, const uint64_t* w, int n_channels, int kernel, int shift,
         int32_t* dot) {
  // A negative shift goes to the right; a shift by 64 gives 0 here, unlike in plain C.
  const int64x2_t right = vdupq_n_s64(-shift);
  const int64x2_t to_left = vdupq_n_s64(64 - shift);
  for (int c = 0; c < n_channels; c += 8) {
    const uint64_t* a = x + c;
    const uint64_t* b = w + c;
    Sums counts;
    Sums ones;
    for (int left = kernel; left > 0; left -= 64, a += n_channels, b += n_channels) {
      const uint64x2_t mask = vdupq_n_u64(left < 64 ? (uint64_t{1} << left) - 1 : ~uint64_t{0});
      uint64x2_t window[4];
      uint64x2_t bits[4];
      for (int v = 0; v < 4; ++v) {
        const uint64x2_t low = vshlq_u64(vld1q_u64(a + 2 * v), right);
        const uint64x2_t high = vshlq_u64(vld1q_u64(a + n_channels + 2 * v), to_left);
        window[v] = vandq_u64(vorrq_u64(low, high), mask);
        const uint64x2_t weight = vld1q_u64(b + 2 * v);
        bits[v] = is_unsigned ? vandq_u64(window[v], weight) : veorq_u64(window[v], weight);
      }
      counts.add(ones_of(bits));
      if (is_unsigned) ones.add(ones_of(window));
    }
    vst1q_s32(dot + c, dots<is_unsigned>(counts.low, ones.low, kernel));
    vst1q_s32(dot + c + 4, dots<is_unsigned>(counts.high, ones.high, kernel));
  }
}

}  // namespace

void depthwise_b1_8_neon(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                         int shift, bool is_unsigned, int32_t* dot) {
  if (is_unsigned) {
    run<true>(x, w, n_channels, kernel, shift, dot);
  } else {
    run<false>(x, w, n_channels, kernel, shift, dot);
  }
}

}  // namespace earbit
