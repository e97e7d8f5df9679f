// Binary convolution over time with few channels or outputs per group, whose lanes are frames.
//
// A product of panels (gemm_b1.h) would fill words and lanes badly: 9 channels use 9 bits of a word
// and 9 outputs 9 lanes.  Here a plane holds a few channels of all frames, a byte per frame, so a
// tap of a window is the plane from one frame later on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"
#include "kernels/gemm_b1.h"

namespace earbit {

constexpr int kConvFrames = 64;
constexpr int kConvOutputs = 4;
constexpr int kConvMostBits = 0xffff;  // of a window: counts have 16 bits

struct ConvB1Kernel {
  const char* name;
  Isa isa;
  int plane_bits;  // channels of a plane: 4 or 8

  // Byte t of plane q, planes[q * stride + t], for n_planes planes: the channels of the plane in
  // frame t, for n_frames frames of n_words words, then zeros up to a multiple of kConvFrames.
  void (*split)(const uint64_t* x, int64_t n_frames, int n_words, int n_planes, uint8_t* planes,
                ptrdiff_t stride);

  // Weights of two outputs, (kernel, n_words) each, in the layout that `run` reads: kernel *
  // n_planes numbers.
  void (*pack)(const uint64_t* first, const uint64_t* second, int kernel, int n_words, int n_planes,
               uint16_t* weights);

  // Counts of kConvFrames windows, from the first frame of `planes` on, for kConvOutputs outputs or
  // half of them: output j of frame t at counts[j * kConvFrames + t].
  void (*run)(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,
              const uint16_t* weights, int n_outputs, BitOp op, uint16_t* counts);

  // Whether it is faster than the kernel of gemm_b1 of an instruction set, for one group.
  static bool is_faster(Isa isa, int kernel, int n_bits, int n_outputs);
};

// The kernel of an instruction set, or null if it has none.
const ConvB1Kernel* conv_b1_kernel(Isa isa);

}  // namespace earbit
