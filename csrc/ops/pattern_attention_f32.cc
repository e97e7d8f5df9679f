// fixed_attention_f32, strided_attention_f32: softmax attention over the near and far frames of a
// pattern (patterns.h).
//
// Three passes per head: near scores, block by block; far scores, class by class, the softmax and
// the far part of the context; the near part.  Memory and time follow the pattern.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_f32.h"
#include "ops/near_and_far.h"
#include "ops/patterns.h"

namespace earbit {
namespace {

constexpr int64_t kBlockRows = 48;

template <typename Pattern>
class PatternAttentionF32 : public Op {
 public:
  PatternAttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        n_heads_(attributes.integer("heads", 1, 1 << 16)),
        heads_(PatternHeads::read(attributes, n_heads_)),
        pattern_(Pattern::read(attributes)),
        score_scale_(attributes.number("score_scale")),
        exp_(exp_kernels(chosen_isa())) {
    if (!(score_scale_ > 0)) throw std::invalid_argument("score_scale must be above 0");
    for (const Type& input : inputs) {
      if (input.cols != type_.cols || input.cols % n_heads_ != 0) {
        throw std::invalid_argument("q, k and v must have the same width, a multiple of heads=" +
                                    std::to_string(n_heads_));
      }
    }
    d_ = type_.cols / n_heads_;
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    expect_as_many_frames(inputs);
    Value y = work.make(type_, inputs[0].rows);
    parallel_for(n_heads_, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) run_head(inputs, h, y);
    });
    return y;
  }

 private:
  // Scores, later shares, of the near frames of every row, from the first of them on.
  struct Near {
    int64_t width;
    std::vector<float> rows;
    float* row(int64_t i) { return rows.data() + i * width; }
  };

  void run_head(const std::vector<Value>& inputs, int h, Value& y) const {
    const int64_t n = inputs[0].rows;
    Near near{0, {}};
    if (heads_.sees_near(h)) {
      for (int64_t i = 0; i < n; ++i) near.width = std::max(near.width, size_of(i, n));
      near.rows.resize(static_cast<size_t>(n * near.width));
      near_scores(inputs, h, near);
    }
    if (heads_.sees_far(h)) {
      for (int64_t c = 0; c < pattern_.n_classes(n); ++c) far_part(inputs, h, c, near, y);
    } else {
      for (int64_t i = 0; i < n; ++i) softmax(near.row(i), size_of(i, n), nullptr, 0);
    }
    if (heads_.sees_near(h)) near_part(inputs, h, near, y);
  }

  int64_t size_of(int64_t i, int64_t n) const {
    const Interval seen = pattern_.near(i, n);
    return seen.to - seen.from;
  }

  // Calls body(first, last, low, high): blocks of rows and the frames that any of them sees near.
  template <typename Body>
  void for_blocks(int64_t n, Body&& body) const {
    for (int64_t first = 0; first < n; first += pattern_.block_rows()) {
      const int64_t last = std::min(n, first + pattern_.block_rows());
      body(first, last, pattern_.near(first, n).from, pattern_.near(last - 1, n).to);
    }
  }

  void near_scores(const std::vector<Value>& inputs, int h, Near& near) const {
    const int64_t n = inputs[0].rows;
    for_blocks(n, [&](int64_t first, int64_t last, int64_t low, int64_t high) {
      const auto n_keys = static_cast<int>(high - low);
      const PanelsF32 keys(gemm_f32_kernel(chosen_isa()), inputs[1].row(low) + h * d_, type_.cols,
                           n_keys, d_);
      std::vector<float> scores(static_cast<size_t>((last - first) * n_keys));
      keys.run(inputs[0].row(first) + h * d_, type_.cols, last - first, nullptr, scores.data(),
               n_keys, 1);
      for (int64_t i = first; i < last; ++i) {
        const float* row = scores.data() + (i - first) * n_keys + pattern_.near(i, n).from - low;
        for (int64_t j = 0; j < size_of(i, n); ++j) near.row(i)[j] = row[j] * score_scale_;
      }
    });
  }

  // The far scores of a class of queries, the softmax of their rows, and the far part of y.
  void far_part(const std::vector<Value>& inputs, int h, int64_t first, Near& near,
                Value& y) const {
    const int64_t n = inputs[0].rows;
    const std::vector<int64_t> frames = pattern_.far(first, n);
    const auto n_far = static_cast<int>(frames.size());
    std::vector<float> k(static_cast<size_t>(n_far) * d_);
    std::vector<float> v(k.size());
    for (int m = 0; m < n_far; ++m) {
      std::copy_n(inputs[1].row(frames[m]) + h * d_, d_, k.data() + static_cast<size_t>(m) * d_);
      const float* row = inputs[2].row(frames[m]) + h * d_;
      for (int c = 0; c < d_; ++c) v[static_cast<size_t>(c) * n_far + m] = row[c];
    }
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    const PanelsF32 keys(kernel, k.data(), d_, n_far, d_);
    const PanelsF32 values(kernel, v.data(), n_far, d_, n_far);
    const ptrdiff_t stride = pattern_.step() * type_.cols;
    const int64_t n_queries = (n - first + pattern_.step() - 1) / pattern_.step();
    std::vector<float> scores(static_cast<size_t>(kBlockRows) * n_far);
    for (int64_t start = 0; start < n_queries; start += kBlockRows) {
      const int64_t n_rows = std::min(kBlockRows, n_queries - start);
      const int64_t row = first + start * pattern_.step();
      keys.run(inputs[0].row(row) + h * d_, stride, n_rows, nullptr, scores.data(), n_far, 1);
      for (int64_t r = 0; r < n_rows; ++r) {
        const int64_t i = row + r * pattern_.step();
        float* far = scores.data() + r * n_far;
        for (int m = 0; m < n_far; ++m) far[m] *= score_scale_;
        if (!heads_.sees_near(h)) {
          softmax(nullptr, 0, far, n_far);
          continue;
        }
        const Interval shared = pattern_.shared(i, n_far);
        std::fill(far + shared.from, far + shared.to, kHidden);
        softmax(near.row(i), size_of(i, n), far, n_far);
        std::fill(far + shared.from, far + shared.to, 0.0f);
      }
      values.run(scores.data(), n_far, n_rows, nullptr, y.row(row) + h * d_, stride, 1);
    }
  }

  // One softmax over two parts, of which one may be empty.
  void softmax(float* near, int64_t n_near, float* far, int64_t n_far) const {
    const float sum = exp_of_parts(exp_, near, n_near, far, n_far);
    for (int64_t j = 0; j < n_near; ++j) near[j] /= sum;
    for (int64_t m = 0; m < n_far; ++m) far[m] /= sum;
  }

  // The near part of y: all of it, or added to the far part.
  void near_part(const std::vector<Value>& inputs, int h, Near& near, Value& y) const {
    const int64_t n = inputs[0].rows;
    for_blocks(n, [&](int64_t first, int64_t last, int64_t low, int64_t high) {
      const auto n_keys = static_cast<int>(high - low);
      std::vector<float> shares(static_cast<size_t>((last - first) * n_keys), 0.0f);
      for (int64_t i = first; i < last; ++i) {
        std::copy_n(near.row(i), size_of(i, n),
                    shares.data() + (i - first) * n_keys + pattern_.near(i, n).from - low);
      }
      std::vector<float> v(static_cast<size_t>(d_) * n_keys);
      for (int j = 0; j < n_keys; ++j) {
        const float* row = inputs[2].row(low + j) + h * d_;
        for (int c = 0; c < d_; ++c) v[static_cast<size_t>(c) * n_keys + j] = row[c];
      }
      const PanelsF32 values(gemm_f32_kernel(chosen_isa()), v.data(), n_keys, d_, n_keys);
      std::vector<float> context(static_cast<size_t>((last - first) * d_));
      values.run(shares.data(), n_keys, last - first, nullptr, context.data(), d_, 1);
      for (int64_t i = first; i < last; ++i) {
        const float* part = context.data() + (i - first) * d_;
        float* out = y.row(i) + h * d_;
        for (int c = 0; c < d_; ++c) out[c] = heads_.sees_far(h) ? out[c] + part[c] : part[c];
      }
    });
  }

  Type type_;
  int n_heads_;
  PatternHeads heads_;
  Pattern pattern_;
  float score_scale_;
  const ExpKernels& exp_;
  int d_ = 0;
};

}  // namespace

std::unique_ptr<Op> make_fixed_attention_f32(const std::vector<Type>& inputs,
                                             Attributes& attributes) {
  expect_floats(inputs, 3);
  return std::make_unique<PatternAttentionF32<FixedPattern>>(inputs, attributes);
}

std::unique_ptr<Op> make_strided_attention_f32(const std::vector<Type>& inputs,
                                               Attributes& attributes) {
  expect_floats(inputs, 3);
  return std::make_unique<PatternAttentionF32<StridedPattern>>(inputs, attributes);
}

}  // namespace earbit
