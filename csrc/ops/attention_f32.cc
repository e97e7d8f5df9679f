// attention_f32: softmax(score_scale * q k^T) v per head, over all frames or a window, or with a
// gated position bias added to the scores (ops/position_bias.h).
// A block of scaled query rows is multiplied with all keys in the windows of its rows.  The
// division by the sum of exp(scores) is applied to the context, which has fewer columns.
#include <algorithm>

#include "graph/op.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"
#include "ops/head_blocks.h"
#include "ops/position_bias.h"

namespace earbit {
namespace {

class AttentionF32 : public Op {
 public:
  AttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        score_scale_(attributes.positive("score_scale")),
        bias_(inputs, heads_, radius_),
        exp_(exp_kernels(chosen_isa())) {
    for (const Type& input : PositionBias::operands(inputs)) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument("q, k and v must have the same width, a multiple of heads=" +
                                    std::to_string(heads_));
      }
    }
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    Value y = work.make(type_, n);
    if (n == 0) return y;
    bias_.expect_rows(inputs, n);
    // Without a window, all blocks of a head use the same keys and values.
    const auto heads = make_heads<Frames>(radius_ < 0 ? heads_ : 0, work.n_threads,
                                          [&](int h) { return frames_of(inputs, h, 0, n); });
    for_head_blocks(
        heads_, n, work.n_threads, [&] { return Block(*this, n); },
        [&](Block& block, int h, int64_t first, int64_t last) {
          if (radius_ < 0) {
            run_block(inputs, h, first, last, *heads[h], block, y);
          } else {
            const int64_t low = std::max<int64_t>(0, first - radius_);
            const int64_t high = std::min<int64_t>(n, last + int64_t{radius_});
            run_block(inputs, h, first, last, frames_of(inputs, h, low, high), block, y);
          }
        });
    return y;
  }

 private:
  // Keys and values of the frames [low, high) of one head.
  struct Frames {
    int64_t low;
    int64_t high;
    PanelsF32 keys;
    PanelsF32 values;
    std::vector<float> bias;  // by distance
  };

  // Buffers for one block of rows.
  struct Block {
    Block(const AttentionF32& op, int64_t n)
        : q(static_cast<size_t>(kBlockRows) * (op.type_.cols / op.heads_)),
          scores(static_cast<size_t>(kBlockRows) *
                 (op.radius_ < 0 ? n : std::min(n, kBlockRows + 2 * int64_t{op.radius_}))) {}

    std::vector<float> q;       // scaled
    std::vector<float> scores;  // then exp(scores)
    float sums[kBlockRows];
  };

  Frames frames_of(const std::vector<Value>& inputs, int h, int64_t low, int64_t high) const {
    const int width = type_.cols;
    const int d = width / heads_;
    const auto n_keys = static_cast<int>(high - low);
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    return {low, high, PanelsF32(kernel, inputs[1].row(low) + h * d, width, n_keys, d),
            PanelsF32::of_transposed(kernel, inputs[2].row(low) + h * d, width, d, n_keys),
            bias_.of_head(inputs, h)};
  }

  void run_block(const std::vector<Value>& inputs, int h, int64_t first, int64_t last,
                 const Frames& frames, Block& block, Value& y) const {
    const Value& q = inputs[0];
    const int d = type_.cols / heads_;
    const int64_t n_keys = frames.high - frames.low;
    for (int64_t i = first; i < last; ++i) {
      const float* row = q.row(i) + h * d;
      for (int c = 0; c < d; ++c) block.q[(i - first) * d + c] = row[c] * score_scale_;
    }
    frames.keys.run(block.q.data(), d, last - first, nullptr, block.scores.data(), n_keys, 1);
    for (int64_t i = first; i < last; ++i) {
      float* row = block.scores.data() + (i - first) * n_keys;
      const int64_t from = radius_ < 0 ? 0 : std::max<int64_t>(0, i - radius_) - frames.low;
      const int64_t to =
          radius_ < 0 ? n_keys : std::min<int64_t>(q.rows, i + radius_ + int64_t{1}) - frames.low;
      std::fill(row, row + from, 0.0f);
      bias_.add(inputs, frames.bias, h, i, row, n_keys);
      block.sums[i - first] =
          exp_.exp_below(row + from, exp_.most(row + from, to - from), to - from);
      std::fill(row + to, row + n_keys, 0.0f);
    }
    frames.values.run(block.scores.data(), n_keys, last - first, nullptr, y.row(first) + h * d,
                      type_.cols, 1);
    for (int64_t i = first; i < last; ++i) {
      float* row = y.row(i) + h * d;
      for (int c = 0; c < d; ++c) row[c] /= block.sums[i - first];
    }
  }

  Type type_;
  int heads_;
  int radius_;
  float score_scale_;
  PositionBias bias_;
  const ExpKernels& exp_;
};

}  // namespace

std::unique_ptr<Op> make_attention_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(PositionBias::operands(inputs), 3);
  return std::make_unique<AttentionF32>(inputs, attributes);
}

}  // namespace earbit
