// What attention to near and far frames (patterns.h) shares, whatever numbers it multiplies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "graph/value.h"
#include "kernels/exp.h"
#include "ops/patterns.h"

namespace earbit {

// Far below every score, as scales are checked: exp makes of it exp(-87) of the largest share,
// which no half is below and no code counts (attention_scales.h).
constexpr float kHidden = std::numeric_limits<float>::lowest();

inline void expect_as_many_frames(const std::vector<Value>& inputs) {
  for (const Value& input : inputs) {
    if (input.rows != inputs[0].rows) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
  }
}

// How many rows of n a head computes before the next ones, so that the near scores, n_near of a
// row, of all heads that are computed at once take some 64 MiB: all rows, or as many blocks of
// kPatternRows as do, but one at least.  Results do not depend on it.
inline int64_t rows_at_once(int64_t n, int64_t n_near, int n_heads, int n_threads) {
  const int64_t most_pairs = (int64_t{1} << 24) / std::min(n_heads, n_threads);
  if (n * n_near <= most_pairs) return std::max<int64_t>(n, 1);
  return std::max(kPatternRows, most_pairs / n_near / kPatternRows * kPatternRows);
}

// Places in the class c, c + step, ... of the rows that lie in `rows`.
inline Interval places_of(const Interval& rows, int64_t c, int64_t step) {
  const auto place = [&](int64_t row) { return row <= c ? 0 : (row - c + step - 1) / step; };
  return {place(rows.from), place(rows.to)};
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
