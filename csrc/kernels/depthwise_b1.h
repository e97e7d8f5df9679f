// Binary depthwise convolution: one output frame of all channels, with one kernel per channel.
//
// Bits are packed along time: word k of channel c holds 64 frames, and channels are adjacent, so
// lanes are channels.  A window of `kernel` frames that starts at bit `shift` is extracted from two
// words.  With p ones in the window:
//   signed input    dot = kernel - 2 popcount(window xor w)
//   unsigned input  dot = 2 popcount(window and w) - p
// The reference is depthwise_b1_scalar.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

// Channels per step; numbers of channels are padded to a multiple of it.
constexpr int kDepthwiseLanes = 8;

struct DepthwiseB1Kernel {
  const char* name;
  Isa isa;

  // dot[c] for c < n_channels, a multiple of kDepthwiseLanes.  x: words_for(kernel) + 1 rows of
  // n_channels words, 0 <= shift < 64;  w: words_for(kernel) rows, 0 beyond the kernel.
  void (*run)(const uint64_t* x, const uint64_t* w, int n_channels, int kernel, int shift,
              bool is_unsigned, int32_t* dot);
};

// All kernels of this build, the scalar one first.
const std::vector<DepthwiseB1Kernel>& depthwise_b1_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const DepthwiseB1Kernel& depthwise_b1_kernel(Isa isa);

}  // namespace earbit
