// attention_i8 and relative_attention_i8: threads change no bit, and in rows where no probability
// is next to the border of two codes the context is what plain sums of the codes give.
#include <cmath>

#include "shapes/operands.h"

namespace shapes {
namespace {

using earbit::CodeSet;
using earbit::Value;

struct Attention {
  int heads;
  int head_dim;
  int n;
  int radius;  // -1: all keys
  CodeSet prob_set;
  double prob_scale;

  int width() const { return heads * head_dim; }
};

// Two operands of a score, what a unit of each is worth, and the scale of their product.
struct Product {
  Matrix left;
  Matrix right;
  CodeSet left_set;
  CodeSet right_set;
  float left_scale;
  float right_scale;

  double score(const Attention& a, int head, int row, int right_row) const {
    int64_t dot = 0;
    for (int c = head * a.head_dim; c < (head + 1) * a.head_dim; ++c) {
      dot += left.at(row, c) * right.at(right_row, c);
    }
    return static_cast<double>(dot) * left_scale * right_scale;
  }
};

Attention drawn_attention(Draw& draw) {
  Attention a{};
  a.heads = draw.size(1, 4);
  a.head_dim = draw.one_in(50) ? draw.size(1, 1 << 15) : draw.size(1, 100);
  a.n = a.head_dim > 1000 ? draw.size(1, 4) : draw.size(1, draw.one_in(10) ? 260 : 60);
  a.radius = -1;
  a.prob_set = {1 + draw.below(8), true};
  a.prob_scale = std::ldexp(1.0, -draw.below(13));
  return a;
}

Product drawn_product(Draw& draw, const Attention& a, int right_rows) {
  Product product{};
  product.left_set = {1 + draw.below(8), false};
  product.right_set = {1 + draw.below(8), false};
  product.left = drawn(draw, a.n, a.width(), product.left_set);
  product.right = drawn(draw, right_rows, a.width(), product.right_set);
  const double largest = product.left_set.limit() * product.right_set.limit();
  product.left_scale = static_cast<float>((1 + draw.below(20)) / largest);
  product.right_scale = static_cast<float>(1 / std::sqrt(a.head_dim));
  return product;
}

// The context of a row and head into its columns of dots; false where rounding decides a code.
bool add_context(const Attention& a, const std::vector<double>& scores, const Matrix& v, int row,
                 int head, int32_t* dots) {
  const int low = a.radius < 0 ? 0 : std::max(0, row - a.radius);
  const int high = a.radius < 0 ? a.n : std::min(a.n, row + a.radius + 1);
  double most = scores[low];
  double largest = 0;
  for (int j = low; j < high; ++j) {
    most = std::max(most, scores[j]);
    largest = std::max(largest, std::abs(scores[j]));
  }
  double sum = 0;
  for (int j = low; j < high; ++j) sum += std::exp(scores[j] - most);
  for (int j = low; j < high; ++j) {
    const double steps = std::exp(scores[j] - most) / sum / a.prob_scale;
    // A score is a float32, and its error is one of the exponent.
    const double error = (1e-5 + 1e-6 * largest) * (1 + steps);
    if (std::abs(steps - std::floor(steps) - 0.5) < error) return false;
    const auto code = static_cast<int>(std::min<double>(std::round(steps), a.prob_set.largest()));
    for (int c = head * a.head_dim; c < (head + 1) * a.head_dim; ++c) dots[c] += code * v.at(j, c);
  }
  return true;
}

// Holds the op's floats, steps of its scales, against plain sums; score(h, i, j) of all pairs.
template <typename Score>
void compare(const Attention& a, const Value& y, const Matrix& v, Score&& score,
             const std::string& what) {
  for (int i = 0; i < a.n; ++i) {
    for (int h = 0; h < a.heads; ++h) {
      std::vector<double> scores(a.n);
      for (int j = 0; j < a.n; ++j) scores[j] = score(h, i, j);
      std::vector<int32_t> dots(a.width());
      if (!add_context(a, scores, v, i, h, dots.data())) continue;
      for (int c = h * a.head_dim; c < (h + 1) * a.head_dim; ++c) {
        if (y.row(i)[c] == static_cast<float>(dots[c])) continue;
        throw Wrong("not what plain arithmetic gives in row " + std::to_string(i) + ": " + what);
      }
    }
  }
}

std::string shape(const std::string& name, const Attention& a, const Parts& parts) {
  return name + " of " + std::to_string(a.n) + " frames, heads of " + std::to_string(a.head_dim) +
         ":" + parts.text();
}

// Scales of the values are those that make the sums come out as they are.
Parts parts_of(const Attention& a) {
  Parts parts;
  parts.integer("heads", a.heads).integer("prob_bits", a.prob_set.bits);
  parts.number("prob_scale", a.prob_scale).number("v_scale", 1 / a.prob_scale);
  return parts;
}

void add(const Value& y, Digest& digest) {
  digest.add(std::vector<float>(y.row(0), y.row(y.rows)));
}

}  // namespace

void try_attention_i8_op(Draw& draw, Digest& digest) {
  Attention a = drawn_attention(draw);
  if (draw.one_in(2)) a.radius = draw.size(0, 80);
  const Product content = drawn_product(draw, a, a.n);
  const CodeSet v_set{1 + draw.below(8), false};
  const Matrix v = drawn(draw, a.n, a.width(), v_set);
  Parts parts = parts_of(a);
  parts.integer("radius", a.radius);
  parts.number("q_scale", content.left_scale).number("k_scale", content.right_scale);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {codes_value(*memory, content.left, content.left_set),
                                     codes_value(*memory, content.right, content.right_set),
                                     codes_value(*memory, v, v_set)};
  const std::string what = shape("attention_i8", a, parts);
  const Value y = run_on_threads(*parts.op("attention_i8", inputs), inputs, what);
  compare(a, y, v, [&](int h, int i, int j) { return content.score(a, h, i, j); }, what);
  add(y, digest);
}

void try_relative_attention_i8_op(Draw& draw, Digest& digest) {
  const Attention a = drawn_attention(draw);
  const Product content = drawn_product(draw, a, a.n);
  const Product position = drawn_product(draw, a, 2 * a.n - 1);
  const CodeSet v_set{1 + draw.below(8), false};
  const Matrix v = drawn(draw, a.n, a.width(), v_set);
  Parts parts = parts_of(a);
  parts.number("q_scale", content.left_scale).number("k_scale", content.right_scale);
  parts.number("p_scale", position.left_scale).number("r_scale", position.right_scale);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {codes_value(*memory, content.left, content.left_set),
                                     codes_value(*memory, position.left, position.left_set),
                                     codes_value(*memory, content.right, content.right_set),
                                     codes_value(*memory, position.right, position.right_set),
                                     codes_value(*memory, v, v_set)};
  const std::string what = shape("relative_attention_i8", a, parts);
  const Value y = run_on_threads(*parts.op("relative_attention_i8", inputs), inputs, what);
  const auto score = [&](int h, int i, int j) {
    return content.score(a, h, i, j) + position.score(a, h, i, a.n - 1 - (i - j));
  };
  compare(a, y, v, score, what);
  add(y, digest);
}

}  // namespace shapes
