// Validated scales of all attention ops: scores, their sums and their differences are finite, and
// sums of the codes of probabilities fit an int32.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "bits/code_set.h"
#include "graph/attributes.h"

namespace earbit {

// Far below the largest float32 (2^128) and far above useful scores.
constexpr double kMostScore = 0x1p120;

inline void expect_score(double score, const std::string& scales) {
  if (score <= kMostScore) return;
  throw std::invalid_argument(scales + " makes scores of more than 2^120");
}

// The scale of dots of at most most_dot.
inline float score_scale_of(Attributes& attributes, const std::string& name, int most_dot) {
  const float scale = attributes.positive(name);
  expect_score(static_cast<double>(scale) * most_dot, name);
  return scale;
}

// The scales of both operands, applied to dots of codes one after the other.
struct ScoreScales {
  float left;
  float right;

  // Heads of d columns of these codes.
  static ScoreScales read(Attributes& attributes, const std::string& left_name,
                          const std::string& right_name, const CodeSet& left_set,
                          const CodeSet& right_set, int d) {
    const ScoreScales scales{attributes.positive(left_name), attributes.positive(right_name)};
    const std::string both = left_name + " times " + right_name;
    if (!(scales.product() > 0)) throw std::invalid_argument(both + " is 0 in float32");
    const double once = static_cast<double>(scales.left) * left_set.limit() * right_set.limit() * d;
    expect_score(once, left_name);
    expect_score(once * scales.right, both);
    return scales;
  }

  float product() const { return left * right; }
};

// The step of the codes of probabilities, or half the step of their bits: a bit is 1 where p is
// above it.  The codes of a row sum to at most 2 / step, because p < step / 2 has code 0, so their
// product with any values fits an int32 for any number of keys.
inline float probability_step_of(Attributes& attributes, const std::string& name) {
  const float step = attributes.number(name);
  if (!(step >= 1e-6f)) throw std::invalid_argument(name + " must be at least 1e-6");
  return step;
}

// The next float above x, since p > x is equivalent to p >= next(x).
inline float least_above(float x) {
  return std::nextafter(x, std::numeric_limits<float>::infinity());
}

}  // namespace earbit
