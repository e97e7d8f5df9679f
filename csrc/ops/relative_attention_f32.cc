// relative_attention_f32: softmax over j of score_scale * [(q_i + u) k_j + (q_i + v) r_(i-j)],
// times values, per head.  Row m of r is distance n - 1 - m of n frames.
//
// A block of scaled query rows is multiplied with all keys, and with the distances of the block: as
// many as frames and block rows together, not 2 n - 1 for every query.  The division by the sum of
// exp(scores) is applied to the context, which has fewer columns.
#include <algorithm>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"
#include "ops/heads.h"

namespace earbit {
namespace {

class RelativeAttentionF32 : public Op {
 public:
  RelativeAttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        score_scale_(attributes.positive("score_scale")),
        content_bias_(attributes.f32("content_bias", {type_.cols})),
        position_bias_(attributes.f32("position_bias", {type_.cols})),
        exp_(exp_kernels(chosen_isa())),
        elementwise_(elementwise_kernels(chosen_isa())) {
    for (const Type& input : inputs) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument("q, k, v and r must have the same width, a multiple of heads=" +
                                    std::to_string(heads_));
      }
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t input) const override { return input == 0 ? Needs::row() : Needs::all(); }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, 3);
  }
  int n_column_groups() const override { return heads_; }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Heads<Head>>(
        heads_, inputs, [this](const std::vector<View>& in, int h) { return head(in, h); });
  }

  void run_rows(const Block& block) const override {
    run_block(block, static_cast<const Heads<Head>&>(*block.state)[block.column_group]);
  }

 private:
  // Operands shared by all rows, in the layout of weights.
  struct Head {
    PanelsF32 keys;
    PanelsF32 distances;
    PanelsF32 values;
  };

  Head head(const std::vector<View>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[1].rows.size());
    const int width = type_.cols;
    const int d = width / heads_;
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    return {PanelsF32(kernel, inputs[1].row(0) + h * d, width, n, d),
            PanelsF32(kernel, inputs[3].row(0) + h * d, width, 2 * n - 1, d),
            PanelsF32::of_transposed(kernel, inputs[2].row(0) + h * d, width, d, n)};
  }

  void run_block(const Block& block, const Head& head) const {
    const int64_t n = block.inputs[1].rows.end;
    const int h = block.column_group;
    const int d = type_.cols / heads_;
    const int64_t first = block.rows.begin;
    const int64_t n_rows = block.rows.size();
    // Distances are read in whole panels, from the panel of the first.
    const int panel_cols = head.distances.panel_cols();
    const int64_t distance_cols = n + kBlockRows + 2 * int64_t{panel_cols};
    auto* left = block.scratch.take<float>(n_rows * d);
    auto* scores = block.scratch.take<float>(n_rows * n);  // then exp(scores)
    auto* by_distance = block.scratch.take<float>(n_rows * distance_cols);
    float sums[kBlockRows];
    biased(block, content_bias_, left);
    head.keys.run(left, d, n_rows, nullptr, scores, n);
    biased(block, position_bias_, left);
    // Distances from (last row, first key) to (first row, last key).
    const auto low = static_cast<int>(n - first - n_rows);
    const int base = low / panel_cols * panel_cols;
    head.distances.run_columns(low, static_cast<int>(2 * n - 1 - first), left, d, n_rows,
                               by_distance, distance_cols);
    for (int64_t i = 0; i < n_rows; ++i) {
      float* row = scores + i * n;
      elementwise_.add(row, by_distance + i * distance_cols + (n - 1 - first - i - base), row, n);
      sums[i] = exp_.exp_below(row, exp_.most(row, n), n);
    }
    head.values.run(scores, n, n_rows, nullptr, block.y.row(first) + h * d, type_.cols);
    for (int64_t i = 0; i < n_rows; ++i) {
      float* row = block.y.row(first + i) + h * d;
      for (int c = 0; c < d; ++c) row[c] /= sums[i];
    }
  }

  // score_scale * (q + bias) of the rows of a block, of one head.
  void biased(const Block& block, const std::vector<float>& bias, float* left) const {
    const int h = block.column_group;
    const int d = type_.cols / heads_;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i, left += d) {
      const float* row = block.inputs[0].row(i) + h * d;
      for (int c = 0; c < d; ++c) left[c] = (row[c] + bias[h * d + c]) * score_scale_;
    }
  }

  Type type_;
  int heads_;
  float score_scale_;
  std::vector<float> content_bias_;
  std::vector<float> position_bias_;
  const ExpKernels& exp_;
  const ElementwiseKernels& elementwise_;
};

}  // namespace

std::unique_ptr<Op> make_relative_attention_f32(const std::vector<Type>& inputs,
                                                Attributes& attributes) {
  expect_floats(inputs, 4);
  return std::make_unique<RelativeAttentionF32>(inputs, attributes);
}

}  // namespace earbit
