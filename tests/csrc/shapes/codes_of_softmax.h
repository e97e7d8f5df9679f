// What attention on codes is held against: scores of codes in double, and the codes of their
// softmax where rounding does not decide them.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "shapes/operands.h"

namespace shapes {

struct Heads {
  int count;
  int columns;  // of one
  int n;        // frames

  int width() const { return count * columns; }

  std::string text() const {
    return std::to_string(n) + " frames, heads of " + std::to_string(columns);
  }
};

inline Heads drawn_heads(Draw& draw, int least_frames) {
  Heads heads{};
  heads.count = draw.size(1, 4);
  heads.columns = draw.one_in(50) ? draw.size(1, 1 << 15) : draw.size(1, 100);
  heads.n = heads.columns > 1000 ? draw.size(least_frames, 4)
                                 : draw.size(least_frames, draw.one_in(10) ? 260 : 60);
  return heads;
}

// Two operands of a score, and what a unit of each is worth.
struct Product {
  Matrix left;
  Matrix right;
  earbit::CodeSet left_set;
  earbit::CodeSet right_set;
  float left_scale;
  float right_scale;

  double score(const Heads& heads, int head, int row, int right_row) const {
    int64_t dot = 0;
    for (int c = head * heads.columns; c < (head + 1) * heads.columns; ++c) {
      dot += left.at(row, c) * right.at(right_row, c);
    }
    return static_cast<double>(dot) * left_scale * right_scale;
  }
};

inline Product drawn_product(Draw& draw, const Heads& heads, int right_rows) {
  Product product{};
  product.left_set = {1 + draw.below(8), false};
  product.right_set = {1 + draw.below(8), false};
  product.left = drawn(draw, heads.n, heads.width(), product.left_set);
  product.right = drawn(draw, right_rows, heads.width(), product.right_set);
  const double largest = product.left_set.limit() * product.right_set.limit();
  product.left_scale = static_cast<float>((1 + draw.below(20)) / largest);
  product.right_scale = static_cast<float>(1 / std::sqrt(heads.columns));
  return product;
}

// What probabilities become: codes from 0 on, steps of `scale`, a power of two.
struct Probabilities {
  earbit::CodeSet set;
  double scale;
};

inline Probabilities drawn_probabilities(Draw& draw) {
  const earbit::CodeSet set{1 + draw.below(8), true};
  return {set, std::ldexp(1.0, -draw.below(13))};
}

// A frame that a query sees.
struct Seen {
  int frame;
  double score;
  const Probabilities* becomes;
};

// The codes of a softmax over one or more frames; nothing where rounding decides one of them.
inline std::optional<std::vector<int>> codes_of(const std::vector<Seen>& frames) {
  double most = frames[0].score;
  double largest = 0;
  for (const Seen& seen : frames) {
    most = std::max(most, seen.score);
    largest = std::max(largest, std::abs(seen.score));
  }
  double sum = 0;
  for (const Seen& seen : frames) sum += std::exp(seen.score - most);
  std::vector<int> codes;
  for (const Seen& seen : frames) {
    const double steps = std::exp(seen.score - most) / sum / seen.becomes->scale;
    // A score is a float32, and its error is one of the exponent.
    const double error = (1e-5 + 1e-6 * largest) * (1 + steps);
    if (std::abs(steps - std::floor(steps) - 0.5) < error) return std::nullopt;
    codes.push_back(
        static_cast<int>(std::min<double>(std::round(steps), seen.becomes->set.largest())));
  }
  return codes;
}

inline void add_floats(const earbit::Value& y, Digest& digest) {
  digest.add(std::vector<float>(y.row(0), y.row(y.rows)));
}

}  // namespace shapes
