// Integer thresholds of all ops that binarize products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "graph/attributes.h"

namespace earbit {

// The tensor `threshold` (n,), clamped so that sums and differences with dots do not overflow.  No
// dot exceeds the limits, so no bit changes.
inline std::vector<int32_t> thresholds_of(Attributes& attributes, int64_t n) {
  constexpr int32_t kMost = 1 << 30;
  std::vector<int32_t> thresholds = attributes.i32("threshold", {n});
  for (int32_t& threshold : thresholds) threshold = std::clamp(threshold, -kMost, kMost);
  return thresholds;
}

}  // namespace earbit
