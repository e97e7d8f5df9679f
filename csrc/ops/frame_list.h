// Frames by their numbers, in any order: what an operand is gathered from.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace earbit {

using FrameList = std::vector<int64_t>;

inline FrameList every_frame(int64_t n) {
  FrameList frames(static_cast<size_t>(n));
  std::iota(frames.begin(), frames.end(), int64_t{0});
  return frames;
}

}  // namespace earbit
