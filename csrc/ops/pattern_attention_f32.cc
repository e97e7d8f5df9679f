// fixed_attention_f32, strided_attention_f32: softmax attention over the near and far frames of a
// pattern (patterns.h).
//
// Three passes per head, over all rows or some at a time where many frames are near: near scores,
// block by block; far scores, class by class, the softmax and the far part of the context; the near
// part.  Queries are scaled before, and the sum of a softmax divides the context, which has fewer
// columns.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_f32.h"
#include "ops/near_and_far.h"
#include "ops/patterns.h"

namespace earbit {
namespace {

template <typename Pattern>
class PatternAttentionF32 : public Op {
 public:
  PatternAttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        n_heads_(attributes.integer("heads", 1, 1 << 16)),
        heads_(PatternHeads::read(attributes, n_heads_)),
        pattern_(Pattern::read(attributes)),
        score_scale_(attributes.positive("score_scale")),
        exp_(exp_kernels(chosen_isa())) {
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
      for (auto h = static_cast<int>(begin); h < end; ++h) run_head(inputs, h, work.n_threads, y);
    });
    return y;
  }

 private:
  // What a head keeps between passes.
  struct Rows {
    std::vector<float> q;     // (n, d), scaled
    std::vector<float> sums;  // of both parts of every softmax
    int64_t width;            // most near frames of a block of rows
    Interval some;            // the rows of `near`
    // (rows, width): scores, later exp of them, from the first frame that their block sees on.
    std::vector<float> near;

    float* near_of(int64_t i) { return near.data() + (i - some.from) * width; }
  };

  // Rows that are computed together and the frames that any of them sees near.
  struct Block {
    int64_t first;
    int64_t last;
    int64_t low;
    int64_t high;
  };

  void run_head(const std::vector<Value>& inputs, int h, int n_threads, Value& y) const {
    const int64_t n = inputs[0].rows;
    const bool sees_near = heads_.sees_near(h);
    Rows rows{std::vector<float>(static_cast<size_t>(n * d_)),
              std::vector<float>(static_cast<size_t>(n)),
              sees_near ? near_width(n) : 0,
              {0, n},
              {}};
    for (int64_t i = 0; i < n; ++i) {
      const float* q = inputs[0].row(i) + h * d_;
      for (int c = 0; c < d_; ++c) rows.q[i * d_ + c] = q[c] * score_scale_;
    }
    const int64_t step = rows_at_once(n, rows.width, n_heads_, n_threads);
    for (int64_t i = 0; i < n; i += step) {
      rows.some = {i, std::min(n, i + step)};
      if (sees_near) near_scores(inputs[1], h, rows);
      for (int64_t c = 0; c < pattern_.n_classes(n); ++c) far_part(inputs, h, c, rows, y);
      if (sees_near) add_near_part(inputs[2], h, rows, y);
    }
    for (int64_t i = 0; i < n; ++i) {
      float* out = y.row(i) + h * d_;
      // A row that sees no frame keeps its zeros.
      if (rows.sums[i] == 0.0f) continue;
      for (int c = 0; c < d_; ++c) out[c] /= rows.sums[i];
    }
  }

  // The block among some rows of n that row i is one of.
  Block block_of(int64_t i, const Interval& rows, int64_t n) const {
    const int64_t block = i / pattern_.block_rows() * pattern_.block_rows();
    const int64_t first = std::max(block, rows.from);
    const int64_t last = std::min(rows.to, block + pattern_.block_rows());
    return {first, last, pattern_.near(first, n).from, pattern_.near(last - 1, n).to};
  }

  // Most frames that a block sees.
  int64_t near_width(int64_t n) const {
    int64_t width = 0;
    for (int64_t i = 0; i < n;) {
      const Block block = block_of(i, {0, n}, n);
      width = std::max(width, block.high - block.low);
      i = block.last;
    }
    return width;
  }

  void near_scores(const Value& k, int h, Rows& rows) const {
    rows.near.resize(static_cast<size_t>((rows.some.to - rows.some.from) * rows.width));
    for (int64_t i = rows.some.from; i < rows.some.to;) {
      const Block block = block_of(i, rows.some, k.rows);
      const PanelsF32 keys(gemm_f32_kernel(chosen_isa()), k.row(block.low) + h * d_, type_.cols,
                           static_cast<int>(block.high - block.low), d_);
      keys.run(rows.q.data() + i * d_, d_, block.last - i, nullptr, rows.near_of(i), rows.width, 1);
      i = block.last;
    }
  }

  // Of the rows of a class the far scores, exp of both parts, and the far part of y.
  void far_part(const std::vector<Value>& inputs, int h, int64_t first, Rows& rows,
                Value& y) const {
    const int64_t n = inputs[0].rows;
    const Interval places = places_of(rows.some, first, pattern_.step());
    if (places.from >= places.to) return;
    const FrameList frames = heads_.sees_far(h) ? pattern_.far(first, n) : FrameList();
    const auto n_far = static_cast<int>(frames.size());
    std::vector<float> k(static_cast<size_t>(n_far) * d_);
    std::vector<float> v(k.size());
    for (int m = 0; m < n_far; ++m) {
      std::copy_n(inputs[1].row(frames[m]) + h * d_, d_, k.data() + static_cast<size_t>(m) * d_);
      std::copy_n(inputs[2].row(frames[m]) + h * d_, d_, v.data() + static_cast<size_t>(m) * d_);
    }
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    const PanelsF32 keys(kernel, k.data(), d_, n_far, d_);
    const PanelsF32 values = PanelsF32::of_turned(kernel, v.data(), d_, d_, n_far);
    const ptrdiff_t step = pattern_.step();
    std::vector<float> scores(static_cast<size_t>(std::min(kPatternRows, places.to - places.from)) *
                              n_far);
    for (int64_t start = places.from; start < places.to; start += kPatternRows) {
      const int64_t n_rows = std::min(kPatternRows, places.to - start);
      const int64_t row = first + start * step;
      keys.run(rows.q.data() + row * d_, step * d_, n_rows, nullptr, scores.data(), n_far, 1);
      for (int64_t r = 0; r < n_rows; ++r) {
        exp_of_row(row + r * step, n, h, rows, scores.data() + r * n_far, n_far);
      }
      values.run(scores.data(), n_far, n_rows, nullptr, y.row(row) + h * d_, step * type_.cols, 1);
    }
  }

  // Exp of the scores of row i, zeros where its block sees a frame and the row does not or sees it
  // twice, and the sum of all.
  void exp_of_row(int64_t i, int64_t n, int h, Rows& rows, float* far, int64_t n_far) const {
    if (!heads_.sees_near(h)) {
      rows.sums[i] = exp_of_parts(exp_, nullptr, 0, far, n_far);
      return;
    }
    const Interval shared = pattern_.shared(i, n_far);
    const Interval seen = pattern_.near(i, n);
    float* row = rows.near_of(i);
    float* near = row + seen.from - block_of(i, rows.some, n).low;
    const int64_t n_near = seen.to - seen.from;
    std::fill(far + shared.from, far + shared.to, kHidden);
    rows.sums[i] = exp_of_parts(exp_, near, n_near, far, n_far);
    std::fill(far + shared.from, far + shared.to, 0.0f);
    std::fill(row, near, 0.0f);
    std::fill(near + n_near, row + rows.width, 0.0f);
  }

  void add_near_part(const Value& v, int h, Rows& rows, Value& y) const {
    std::vector<float> context;
    for (int64_t i = rows.some.from; i < rows.some.to;) {
      const Block block = block_of(i, rows.some, v.rows);
      const PanelsF32 values =
          PanelsF32::of_turned(gemm_f32_kernel(chosen_isa()), v.row(block.low) + h * d_, type_.cols,
                               d_, static_cast<int>(block.high - block.low));
      context.resize(static_cast<size_t>((block.last - i) * d_));
      values.run(rows.near_of(i), rows.width, block.last - i, nullptr, context.data(), d_, 1);
      for (const float* part = context.data(); i < block.last; ++i, part += d_) {
        float* out = y.row(i) + h * d_;
        for (int c = 0; c < d_; ++c) out[c] += part[c];
      }
    }
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
