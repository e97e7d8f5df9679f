// fixed_attention_i8 and strided_attention_i8: threads change no bit, and in rows where no
// probability is next to the border of two codes the context is what plain sums of the codes give,
// over the pairs of frames that docs/format.md says.
#include "shapes/codes_of_softmax.h"

namespace shapes {
namespace {

using earbit::CodeSet;
using earbit::Value;

struct Pattern {
  bool is_fixed;
  int stride;
  int expressivity;
  int near_heads;
  int first_far_head;

  bool is_near(int head, int i, int j) const {
    if (head >= near_heads) return false;
    return is_fixed ? i / stride == j / stride : std::abs(i - j) <= stride;
  }
  bool is_far(int head, int i, int j) const {
    if (head < first_far_head) return false;
    return is_fixed ? j % stride >= stride - expressivity : (i - j) % stride == 0;
  }
};

Pattern drawn_pattern(Draw& draw, const Heads& heads) {
  Pattern pattern{};
  pattern.is_fixed = draw.one_in(2);
  pattern.stride = draw.one_in(10) ? draw.size(1, 1 << 20) : draw.size(1, heads.n + 70);
  pattern.expressivity = draw.size(1, pattern.stride);
  pattern.near_heads = draw.size(0, heads.count);
  pattern.first_far_head = draw.size(0, pattern.near_heads);
  return pattern;
}

// Near or far: what its frames are compared by, what their probabilities become, their values.
struct Part {
  Product product;
  Probabilities probabilities;
  CodeSet v_set;
  Matrix v;

  Part(Draw& draw, const Heads& heads)
      : product(drawn_product(draw, heads, heads.n)),
        probabilities(drawn_probabilities(draw)),
        v_set{1 + draw.below(8), false},
        v(drawn(draw, heads.n, heads.width(), v_set)) {}

  // Scales of the values are those that make the sums come out as they are.
  void into(Parts& parts, const std::string& prefix) const {
    parts.integer(prefix + "prob_bits", probabilities.set.bits);
    parts.number(prefix + "prob_scale", probabilities.scale);
    parts.number(prefix + "v_scale", 1 / probabilities.scale);
    parts.number(prefix + "q_scale", product.left_scale);
    parts.number(prefix + "k_scale", product.right_scale);
  }

  void into(std::vector<Value>& inputs, earbit::Memory& memory) const {
    inputs.push_back(codes_value(memory, product.left, product.left_set));
    inputs.push_back(codes_value(memory, product.right, product.right_set));
    inputs.push_back(codes_value(memory, v, v_set));
  }
};

void compare(const Heads& heads, const Pattern& pattern, const Part& near, const Part& far,
             const Value& y, const std::string& what) {
  for (int i = 0; i < heads.n; ++i) {
    for (int h = 0; h < heads.count; ++h) {
      std::vector<Seen> seen;
      for (int j = 0; j < heads.n; ++j) {
        if (!pattern.is_near(h, i, j) && !pattern.is_far(h, i, j)) continue;
        const Part& part = pattern.is_near(h, i, j) ? near : far;
        seen.push_back({j, part.product.score(heads, h, i, j), &part.probabilities});
      }
      // A head of far frames alone sees none before the first one.
      const auto codes = seen.empty() ? std::vector<int>() : codes_of(seen);
      if (!codes) continue;
      for (int c = h * heads.columns; c < (h + 1) * heads.columns; ++c) {
        int32_t dots[2] = {0, 0};
        for (size_t m = 0; m < seen.size(); ++m) {
          const bool is_near = seen[m].becomes == &near.probabilities;
          dots[is_near] += (*codes)[m] * (is_near ? near : far).v.at(seen[m].frame, c);
        }
        if (y.row(i)[c] == static_cast<float>(dots[0]) + static_cast<float>(dots[1])) continue;
        throw Wrong("not what plain arithmetic gives in row " + std::to_string(i) + ": " + what);
      }
    }
  }
}

}  // namespace

void try_pattern_attention_i8_op(Draw& draw, Digest& digest) {
  const Heads heads = drawn_heads(draw, 0);
  const Pattern pattern = drawn_pattern(draw, heads);
  const Part near(draw, heads);
  const Part far(draw, heads);
  Parts parts;
  parts.integer("heads", heads.count).integer("stride", pattern.stride);
  parts.integer("near_heads", pattern.near_heads);
  parts.integer("first_far_head", pattern.first_far_head);
  if (pattern.is_fixed) parts.integer("expressivity", pattern.expressivity);
  near.into(parts, "near_");
  far.into(parts, "far_");
  const auto memory = std::make_shared<earbit::Memory>();
  std::vector<Value> inputs;
  near.into(inputs, *memory);
  far.into(inputs, *memory);
  const std::string name = pattern.is_fixed ? "fixed_attention_i8" : "strided_attention_i8";
  const std::string what = name + " of " + heads.text() + ":" + parts.text();
  const Value y = run_on_threads(*parts.op(name, inputs), inputs, what);
  compare(heads, pattern, near, far, y, what);
  add_floats(y, digest);
}

}  // namespace shapes
