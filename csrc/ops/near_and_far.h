// What attention to near and far frames (patterns.h) shares, whatever numbers it multiplies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph/value.h"
#include "kernels/exp.h"

namespace earbit {

// Far below every score: exp makes of it what no comparison finds and no code counts.
constexpr float kHidden = std::numeric_limits<float>::lowest();

inline std::vector<int64_t> every_frame(int64_t n) {
  std::vector<int64_t> frames(static_cast<size_t>(n));
  std::iota(frames.begin(), frames.end(), int64_t{0});
  return frames;
}

inline void expect_as_many_frames(const std::vector<Value>& inputs) {
  for (const Value& input : inputs) {
    if (input.rows != inputs[0].rows) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
  }
}

// Throws std::invalid_argument where the near scores of a head would take more than a gigabyte.
inline void expect_pairs(int64_t n_frames, int64_t n_near) {
  constexpr int64_t kMost = int64_t{1} << 28;
  if (n_near > 0 && n_frames > kMost / n_near) {
    throw std::invalid_argument(std::to_string(n_frames) + " frames that see " +
                                std::to_string(n_near) + " near ones each; at most " +
                                std::to_string(kMost) + " pairs are allowed, cut the audio");
  }
}

// The scores of one query, of which one part may be empty, become exp of their distance from the
// largest of both; returns the sum of all.
inline float exp_of_parts(const ExpKernels& exp, float* near, int64_t n_near, float* far,
                          int64_t n_far) {
  float most = kHidden;
  if (n_near > 0) most = exp.most(near, n_near);
  if (n_far > 0) most = std::max(most, exp.most(far, n_far));
  return exp.exp_below(near, most, n_near) + exp.exp_below(far, most, n_far);
}

}  // namespace earbit
