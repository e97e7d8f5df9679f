// attention_f32: softmax(score_scale * q k^T) v per head, over all frames or a window, or with a
// gated position bias added to the scores (ops/position_bias.h).
// A block of scaled query rows is multiplied with all keys in the windows of its rows.  The
// division by the sum of exp(scores) is applied to the context, which has fewer columns.
#include <algorithm>

#include "graph/op.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"
#include "ops/heads.h"
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

  Needs needs(size_t input) const override {
    if (input == 0 || input == PositionBias::kGate) return Needs::row();
    Needs needs = Needs::all();
    if (radius_ >= 0) {
      needs.is_all = false;
      needs.left = needs.right = radius_;
    }
    return needs;
  }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, PositionBias::kBias);
  }
  int n_column_groups() const override { return heads_; }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  // Without a window, all blocks of a head use the same keys and values.
  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    if (radius_ >= 0) return nullptr;
    return std::make_unique<Heads<Frames>>(
        heads_, inputs,
        [this](const std::vector<View>& in, int h) { return frames_of(in, h, in[1].rows); });
  }

  void run_rows(const Block& block) const override {
    if (radius_ < 0) {
      run_block(block, static_cast<const Heads<Frames>&>(*block.state)[block.column_group]);
    } else {
      const Rows seen = overlap(needs(1).of(block.rows), block.inputs[1].rows);
      run_block(block, frames_of(block.inputs, block.column_group, seen));
    }
  }

 private:
  // Keys and values of some frames of one head.
  struct Frames {
    Rows rows;
    PanelsF32 keys;
    PanelsF32 values;
    std::vector<float> bias;  // by distance
  };

  Frames frames_of(std::span<const View> inputs, int h, const Rows& rows) const {
    const int width = type_.cols;
    const int d = width / heads_;
    const auto n_keys = static_cast<int>(rows.size());
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    return {rows, PanelsF32(kernel, inputs[1].row(rows.begin) + h * d, width, n_keys, d),
            PanelsF32::of_transposed(kernel, inputs[2].row(rows.begin) + h * d, width, d, n_keys),
            bias_.of_head(inputs, h)};
  }

  void run_block(const Block& block, const Frames& frames) const {
    const View& q = block.inputs[0];
    const int h = block.column_group;
    const int d = type_.cols / heads_;
    const auto [first, last] = block.rows;
    const int64_t n_keys = frames.rows.size();
    auto* scaled = block.scratch.take<float>((last - first) * d);
    auto* scores = block.scratch.take<float>((last - first) * n_keys);  // then exp(scores)
    float sums[kBlockRows];
    for (int64_t i = first; i < last; ++i) {
      const float* row = q.row(i) + h * d;
      for (int c = 0; c < d; ++c) scaled[(i - first) * d + c] = row[c] * score_scale_;
    }
    frames.keys.run(scaled, d, last - first, nullptr, scores, n_keys);
    for (int64_t i = first; i < last; ++i) {
      float* row = scores + (i - first) * n_keys;
      const Rows seen =
          radius_ < 0 ? frames.rows : overlap(frames.rows, {i - radius_, i + radius_ + int64_t{1}});
      const int64_t from = seen.begin - frames.rows.begin;
      const int64_t to = seen.end - frames.rows.begin;
      std::fill(row, row + from, 0.0f);
      bias_.add(block.inputs, frames.bias, h, i, row, n_keys);
      sums[i - first] = exp_.exp_below(row + from, exp_.most(row + from, to - from), to - from);
      std::fill(row + to, row + n_keys, 0.0f);
    }
    frames.values.run(scores, n_keys, last - first, nullptr, block.y.row(first) + h * d,
                      type_.cols);
    for (int64_t i = first; i < last; ++i) {
      float* row = block.y.row(i) + h * d;
      for (int c = 0; c < d; ++c) row[c] /= sums[i - first];
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
