// Counts of binary convolutions for NEON: a byte of weights is broadcast against the same eight
// channels of 64 frames, and EOR (or AND), CNT and ADD give 128 products.
#include <arm_neon.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "bits/transpose.h"
#include "kernels/conv_b1.h"

namespace earbit {
namespace {

#include "kernels/count_neon.h"
#include "kernels/with_rows.h"

constexpr int kTapsPerFlush = 31;  // 8 bits each: 248 <= 255

// Adds counts in bytes to those in 16 bits, or replaces them.
inline void flush(const Counts& sums, uint16_t* counts, bool is_first) {
  for (int v = 0; v < 4; ++v, counts += 16) {
    const uint8x8_t low = vget_low_u8(sums.of[v]);
    const uint8x8_t high = vget_high_u8(sums.of[v]);
    vst1q_u16(counts, is_first ? vmovl_u8(low) : vaddw_u8(vld1q_u16(counts), low));
    vst1q_u16(counts + 8, is_first ? vmovl_u8(high) : vaddw_u8(vld1q_u16(counts + 8), high));
  }
}

// Outputs are a pack of constants, not a loop: their sums must live in registers.
template <BitOp op, int... output>
void count_windows(std::integer_sequence<int, output...>, const uint8_t* planes, ptrdiff_t stride,
                   int kernel, int n_planes, const uint16_t* weights, uint16_t* counts) {
  const ptrdiff_t n_steps = static_cast<ptrdiff_t>(kernel) * n_planes;
  const auto* bytes = reinterpret_cast<const uint8_t*>(weights);
  const uint8_t* of_output[] = {bytes + output / 2 * 2 * n_steps + output % 2 ...};
  ptrdiff_t step = 0;
  bool is_first = true;
  for (int q = 0; q < n_planes; ++q, planes += stride) {
    for (int k = 0; k < kernel;) {
      const int last = kernel - k < kTapsPerFlush ? kernel : k + kTapsPerFlush;
      const uint8x16_t zero = vdupq_n_u8(0);
      Counts sums[] = {{(static_cast<void>(output), zero), zero, zero, zero}...};
      for (; k < last; ++k, ++step) {
        const Counts frames = columns_at(planes + k);
        // A barrier, as in gemm_b1.
        ((count_row<op>(sums[output], of_output[output][2 * step], frames),
          std::atomic_signal_fence(std::memory_order_seq_cst)),
         ...);
      }
      (flush(sums[output], counts + output * kConvFrames, is_first), ...);
      is_first = false;
    }
  }
}

template <BitOp op>
void run_op(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,
            const uint16_t* weights, int n_outputs, uint16_t* counts) {
  with_rows<kConvOutputs / 2>(n_outputs / 2, [&](auto pairs) {
    count_windows<op>(std::make_integer_sequence<int, 2 * pairs.size()>(), planes, stride, kernel,
                      n_planes, weights, counts);
  });
}

}  // namespace

void conv_b1_neon_split(const uint64_t* x, int64_t n_frames, int n_words, int n_planes,
                        uint8_t* planes, ptrdiff_t stride) {
  const ptrdiff_t n_bytes = static_cast<ptrdiff_t>(n_words) * 8;
  transpose_bytes(reinterpret_cast<const uint8_t*>(x), n_bytes, static_cast<int>(n_frames),
                  n_planes, planes, stride);
  const auto n_rest = static_cast<size_t>(-n_frames & (kConvFrames - 1));
  for (int q = 0; q < n_planes; ++q) std::memset(planes + q * stride + n_frames, 0, n_rest);
}

void conv_b1_neon_pack(const uint64_t* first, const uint64_t* second, int kernel, int n_words,
                       int n_planes, uint16_t* weights) {
  for (int q = 0; q < n_planes; ++q) {
    for (int k = 0; k < kernel; ++k) {
      const int word = k * n_words + q / 8;
      const int shift = q % 8 * 8;
      const uint64_t both = (first[word] >> shift & 255) | (second[word] >> shift & 255) << 8;
      *weights++ = static_cast<uint16_t>(both);
    }
  }
}

void conv_b1_neon(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,
                  const uint16_t* weights, int n_outputs, BitOp op, uint16_t* counts) {
  if (op == BitOp::exclusive_or) {
    run_op<BitOp::exclusive_or>(planes, stride, kernel, n_planes, weights, n_outputs, counts);
  } else {
    run_op<BitOp::conjunction>(planes, stride, kernel, n_planes, weights, n_outputs, counts);
  }
}

}  // namespace earbit
