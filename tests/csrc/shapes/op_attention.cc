// attention_b1: threads change no bit, and where no probability is next to the limit the context is
// what plain sums of the bits give.
#include <cmath>

#include "shapes/operands.h"

namespace shapes {
namespace {

struct Attention {
  int heads;
  int head_dim;
  int left;  // -1: all frames
  int right;
  double score_scale;
  double prob_half;
};

// The context of a row and head, columns of dots; false where rounding decides one of its bits.
bool add_context(const Attention& a, const Matrix& q, const Matrix& k, const Matrix& v, int row,
                 int head, int32_t* dots) {
  const int first = head * a.head_dim;
  const int low = a.left < 0 ? 0 : std::max(0, row - a.left);
  const int high = a.left < 0 ? q.rows : std::min(q.rows, row + a.right + 1);
  std::vector<int> score(high);
  int most = -a.head_dim;
  for (int j = low; j < high; ++j) {
    for (int c = 0; c < a.head_dim; ++c) score[j] += q.at(row, first + c) * k.at(j, first + c);
    most = std::max(most, score[j]);
  }
  const auto weight = [&](int j) { return std::exp(a.score_scale * (score[j] - most)); };
  double sum = 0;
  for (int j = low; j < high; ++j) sum += weight(j);
  for (int j = low; j < high; ++j) {
    const double p = weight(j) / sum;
    if (std::abs(p / a.prob_half - 1) < 1e-3) return false;
    if (p < a.prob_half) continue;
    for (int c = 0; c < a.head_dim; ++c) dots[first + c] += v.at(j, first + c);
  }
  return true;
}

}  // namespace

void try_attention_b1_op(Draw& draw, Digest&) {
  // No digest: the limits come from exp of the C library, which may round differently elsewhere.
  Attention a{};
  a.heads = draw.size(1, 5);
  a.head_dim = draw.one_in(50) ? draw.size(1, 1 << 15) : draw.size(1, 140);
  const int n = a.head_dim > 1000 ? draw.size(1, 5) : draw.size(0, draw.one_in(10) ? 300 : 70);
  a.left = a.right = draw.one_in(2) ? -1 : draw.size(0, 150);
  if (a.left >= 0 && draw.one_in(2)) a.right = draw.size(0, 20);
  a.score_scale = static_cast<float>(1 + draw.below(20)) / 10.0 / std::sqrt(a.head_dim);
  // As floats, in which the op keeps them.
  a.score_scale = static_cast<float>(a.score_scale);
  a.prob_half = static_cast<float>((1 + draw.below(20)) / (10.0 * std::max(1, n)));
  const int width = a.heads * a.head_dim;
  const earbit::CodeSet set{1, false};
  const Matrix q = drawn(draw, n, width, set);
  const Matrix k = drawn(draw, n, width, set);
  const Matrix v = drawn(draw, n, width, set);
  std::vector<int32_t> dots(static_cast<size_t>(n) * width);
  bool is_sure = true;
  for (int i = 0; i < n; ++i) {
    for (int h = 0; h < a.heads; ++h) {
      is_sure &= add_context(a, q, k, v, i, h, dots.data() + static_cast<ptrdiff_t>(i) * width);
    }
  }
  Parts parts;
  parts.integer("head_dim", a.head_dim);
  if (a.left == a.right) {
    parts.integer("radius", a.left);
  } else {
    parts.integer("left", a.left).integer("right", a.right);
  }
  parts.number("score_scale", a.score_scale).number("prob_half", a.prob_half);
  std::vector<int32_t> thresholds;
  if (n > 0 && draw.one_in(2)) {
    thresholds = drawn_thresholds(draw, dots, width);
    parts.i32("threshold", thresholds);
  } else {
    parts.number("scale", 1.0);
  }
  const auto memory = std::make_shared<earbit::Memory>();
  std::vector<earbit::Value> inputs;
  for (const Matrix* x : {&q, &k, &v}) inputs.push_back(bits_value(*memory, *x, a.heads));
  const std::string what = "attention_b1 of " + std::to_string(n) + " frames, " +
                           std::to_string(a.heads) + " heads:" + parts.text();
  const earbit::Value y = run_on_threads(parts.op("attention_b1", inputs), inputs, what);
  if (is_sure) compare_dots(y, dots, thresholds, what);
}

}  // namespace shapes
