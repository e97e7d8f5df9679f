// attention_i8 and relative_attention_i8: threads change no bit, and in rows where no probability
// is next to the border of two codes the context is what plain sums of the codes give.
#include "shapes/codes_of_softmax.h"

namespace shapes {
namespace {

using earbit::CodeSet;
using earbit::Value;

// Holds the op's floats against plain sums; score(h, i, j) of the keys j that i sees, those at most
// `radius` away, or all where it is -1.
template <typename Score>
void compare(const Heads& heads, int radius, const Probabilities& probabilities, const Value& y,
             const Matrix& v, Score&& score, const std::string& what) {
  for (int i = 0; i < heads.n; ++i) {
    for (int h = 0; h < heads.count; ++h) {
      std::vector<Seen> seen;
      for (int j = 0; j < heads.n; ++j) {
        if (radius < 0 || std::abs(i - j) <= radius) {
          seen.push_back({j, score(h, i, j), &probabilities});
        }
      }
      const auto codes = codes_of(seen);
      if (!codes) continue;
      for (int c = h * heads.columns; c < (h + 1) * heads.columns; ++c) {
        int32_t dot = 0;
        for (size_t m = 0; m < seen.size(); ++m) dot += (*codes)[m] * v.at(seen[m].frame, c);
        if (y.row(i)[c] == static_cast<float>(dot)) continue;
        throw Wrong("not what plain arithmetic gives in row " + std::to_string(i) + ": " + what);
      }
    }
  }
}

// Scales of the values are those that make the sums come out as they are.
Parts parts_of(const Heads& heads, const Probabilities& probabilities) {
  Parts parts;
  parts.integer("heads", heads.count).integer("prob_bits", probabilities.set.bits);
  parts.number("prob_scale", probabilities.scale).number("v_scale", 1 / probabilities.scale);
  return parts;
}

std::string shape(const std::string& name, const Heads& heads, const Parts& parts) {
  return name + " of " + heads.text() + ":" + parts.text();
}

}  // namespace

void try_attention_i8_op(Draw& draw, Digest& digest) {
  const Heads heads = drawn_heads(draw, 0);
  const Probabilities probabilities = drawn_probabilities(draw);
  const int radius = draw.one_in(2) ? draw.size(0, 80) : -1;
  const Product content = drawn_product(draw, heads, heads.n);
  const CodeSet v_set{1 + draw.below(8), false};
  const Matrix v = drawn(draw, heads.n, heads.width(), v_set);
  Parts parts = parts_of(heads, probabilities);
  parts.integer("radius", radius);
  parts.number("q_scale", content.left_scale).number("k_scale", content.right_scale);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {codes_value(*memory, content.left, content.left_set),
                                     codes_value(*memory, content.right, content.right_set),
                                     codes_value(*memory, v, v_set)};
  const std::string what = shape("attention_i8", heads, parts);
  const Value y = run_on_threads(parts.op("attention_i8", inputs), inputs, what);
  const auto score = [&](int h, int i, int j) { return content.score(heads, h, i, j); };
  compare(heads, radius, probabilities, y, v, score, what);
  add_floats(y, digest);
}

void try_relative_attention_i8_op(Draw& draw, Digest& digest) {
  const Heads heads = drawn_heads(draw, 1);
  const Probabilities probabilities = drawn_probabilities(draw);
  const Product content = drawn_product(draw, heads, heads.n);
  const Product position = drawn_product(draw, heads, 2 * heads.n - 1);
  const CodeSet v_set{1 + draw.below(8), false};
  const Matrix v = drawn(draw, heads.n, heads.width(), v_set);
  Parts parts = parts_of(heads, probabilities);
  parts.number("q_scale", content.left_scale).number("k_scale", content.right_scale);
  parts.number("p_scale", position.left_scale).number("r_scale", position.right_scale);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {codes_value(*memory, content.left, content.left_set),
                                     codes_value(*memory, position.left, position.left_set),
                                     codes_value(*memory, content.right, content.right_set),
                                     codes_value(*memory, position.right, position.right_set),
                                     codes_value(*memory, v, v_set)};
  const std::string what = shape("relative_attention_i8", heads, parts);
  const Value y = run_on_threads(parts.op("relative_attention_i8", inputs), inputs, what);
  const auto score = [&](int h, int i, int j) {
    return content.score(heads, h, i, j) + position.score(heads, h, i, heads.n - 1 - (i - j));
  };
  compare(heads, -1, probabilities, y, v, score, what);
  add_floats(y, digest);
}

}  // namespace shapes
