// Functions of elementwise.h for NEON.  The compiler vectorises the shared loops, as in
// elementwise_scalar.cc.  Packing of comparison results is written by hand, since NEON has no
// instruction that gathers bits.
#include <arm_neon.h>

#include <cstring>

#include "bits/layout.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

#include "kernels/elementwise_loops.h"

// Results of 16 comparisons (lanes of all ones or zeros) as the bits 2^(i % 8) of bytes.
uint8x16_t bits_of(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d) {
  constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t ab = vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
  const uint16x8_t cd = vuzp1q_u16(vreinterpretq_u16_u32(c), vreinterpretq_u16_u32(d));
  return vandq_u8(vuzp1q_u8(vreinterpretq_u8_u16(ab), vreinterpretq_u8_u16(cd)), vld1q_u8(kBit));
}

// A word of n <= 64 results: four(i) compares values i to i + 3, one(i) compares value i.
template <typename Four, typename One>
[[gnu::always_inline]] inline uint64_t word_of(int n, Four&& four, One&& one) {
  const auto sixteen = [&](int i) {
    return bits_of(four(i), four(i + 4), four(i + 8), four(i + 12));
  };
  if (n == 64) {
    const uint8x16_t low = vpaddq_u8(sixteen(0), sixteen(16));
    const uint8x16_t high = vpaddq_u8(sixteen(32), sixteen(48));
    const uint8x16_t quarters = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
  }
  uint64_t word = 0;
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const uint8x16_t bits = sixteen(i);
    word |= static_cast<uint64_t>(vaddv_u8(vget_low_u8(bits))) << i;
    word |= static_cast<uint64_t>(vaddv_u8(vget_high_u8(bits))) << (i + 8);
  }
  for (; i < n; ++i) word |= static_cast<uint64_t>(one(i)) << i;
  return word;
}

uint64_t at_least_f32(const float* x, const float* threshold, int n) {
  return word_of(
      n, [&](int i) { return vcgeq_f32(vld1q_f32(x + i), vld1q_f32(threshold + i)); },
      [&](int i) { return x[i] >= threshold[i]; });
}

uint64_t at_least_i32(const int32_t* x, const int32_t* threshold, int n) {
  return word_of(
      n, [&](int i) { return vcgeq_s32(vld1q_s32(x + i), vld1q_s32(threshold + i)); },
      [&](int i) { return x[i] >= threshold[i]; });
}

void pack_dots_of_four(const DotTile& tile, const int32_t* threshold, uint64_t* bits,
                       ptrdiff_t bits_stride) {
  const int32_t factor = tile.is_signed ? -2 : 2;
  for (int i = 0; i < tile.n_rows; ++i) {
    const int32_t* c = tile.counts + i * tile.stride;
    const int32_t offset = tile.offsets[i];
    const int32x4_t start = vdupq_n_s32(offset);
    bits[i * bits_stride] = word_of(
        tile.n_cols,
        [&](int j) {
          const int32x4_t dot = vmlaq_n_s32(start, vld1q_s32(c + j), factor);
          return vcgeq_s32(dot, vld1q_s32(threshold + j));
        },
        [&](int j) { return offset + factor * c[j] >= threshold[j]; });
  }
}

int64_t n_ones(const uint64_t* words, int64_t n) {
  uint64x2_t ones = vdupq_n_u64(0);
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    const uint8x16_t counts = vcntq_u8(vreinterpretq_u8_u64(vld1q_u64(words + i)));
    ones = vpadalq_u32(ones, vpaddlq_u16(vpaddlq_u8(counts)));
  }
  const auto sum = static_cast<int64_t>(vaddvq_u64(ones));
  return i < n ? sum + popcount(words[i]) : sum;
}

}  // namespace

extern const ElementwiseKernels kElementwiseNeon;
const ElementwiseKernels kElementwiseNeon = {
    .name = "elementwise_neon",
    .isa = Isa::neon,
    .gelu = gelu,
    .at_least_f32 = at_least_f32,
    .at_least_i32 = at_least_i32,
    .not_below = not_below<at_least_f32>,
    .scale_i32 = scale_i32,
    .scale_sums = scale_sums,
    .pack_dots = pack_dots_of_four,
    .scale_dots = scale_dots,
    .layer_norm = layer_norm,
    .add = add,
    .n_ones = n_ones,
    .add_moments = add_moments,
    .fir_bits = fir_bits<2, 4, at_least_f32>,
    .depthwise = depthwise<4>,
    .add_distances = add_distances,
    .add_squares = add_squares,
    .affine = affine,
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
