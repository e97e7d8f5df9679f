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
#include "ops/head_blocks.h"

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

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n || inputs[3].rows != 2 * n - 1) {
      throw std::invalid_argument("q, k and v must have the same n frames, and r 2 n - 1 rows");
    }
    Value y = work.make(type_, n);
    const auto heads =
        make_heads<Head>(heads_, work.n_threads, [&](int h) { return head(inputs, h); });
    for_head_blocks(
        heads_, n, work.n_threads,
        [&] { return Block(n, type_.cols / heads_, heads[0]->distances.panel_cols()); },
        [&](Block& block, int h, int64_t first, int64_t last) {
          run_block(inputs[0], h, *heads[h], first, last - first, block, y);
        });
    return y;
  }

 private:
  // Operands shared by all rows, in the layout of weights.
  struct Head {
    PanelsF32 keys;
    PanelsF32 distances;
    PanelsF32 values;
  };

  // Buffers for one block of rows.
  struct Block {
    Block(int64_t n, int d, int panel_cols)
        // Distances are read in whole panels, from the panel of the first.
        : distance_cols(n + kBlockRows + 2 * int64_t{panel_cols}),
          left(static_cast<size_t>(kBlockRows) * d),
          scores(static_cast<size_t>(kBlockRows) * n),
          by_distance(static_cast<size_t>(kBlockRows) * distance_cols) {}

    int64_t distance_cols;
    std::vector<float> left;         // queries with a bias, scaled
    std::vector<float> scores;       // (rows, n), then exp(scores)
    std::vector<float> by_distance;  // (rows, distance_cols)
    float sums[kBlockRows];
  };

  Head head(const std::vector<Value>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[0].rows);
    const int width = type_.cols;
    const int d = width / heads_;
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    return {PanelsF32(kernel, inputs[1].row(0) + h * d, width, n, d),
            PanelsF32(kernel, inputs[3].row(0) + h * d, width, 2 * n - 1, d),
            PanelsF32::of_transposed(kernel, inputs[2].row(0) + h * d, width, d, n)};
  }

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void run_block(const Value& q, int h, const Head& head, int64_t first, int64_t n_rows,
                 Block& block, Value& y) const {
    const int64_t n = q.rows;
    const int d = type_.cols / heads_;
    biased(q, h, first, n_rows, content_bias_, block);
    head.keys.run(block.left.data(), d, n_rows, nullptr, block.scores.data(), n, 1);
    biased(q, h, first, n_rows, position_bias_, block);
    // Distances from (last row, first key) to (first row, last key).
    const auto low = static_cast<int>(n - first - n_rows);
    const int base = low / head.distances.panel_cols() * head.distances.panel_cols();
    head.distances.run_columns(low, static_cast<int>(2 * n - 1 - first), block.left.data(), d,
                               n_rows, block.by_distance.data(), block.distance_cols);
    for (int64_t i = 0; i < n_rows; ++i) {
      float* row = block.scores.data() + i * n;
      const float* shifted =
          block.by_distance.data() + i * block.distance_cols + (n - 1 - first - i - base);
      elementwise_.add(row, shifted, row, n);
      block.sums[i] = exp_.exp_below(row, exp_.most(row, n), n);
    }
    head.values.run(block.scores.data(), n, n_rows, nullptr, y.row(first) + h * d, type_.cols, 1);
    for (int64_t i = 0; i < n_rows; ++i) {
      float* row = y.row(first + i) + h * d;
      for (int c = 0; c < d; ++c) row[c] /= block.sums[i];
    }
  }

  // score_scale * (q + bias) of some rows of one head.
  void biased(const Value& q, int h, int64_t first, int64_t n_rows, const std::vector<float>& bias,
              Block& block) const {
    const int d = type_.cols / heads_;
    for (int64_t i = 0; i < n_rows; ++i) {
      const float* row = q.row(first + i) + h * d;
      float* left = block.left.data() + i * d;
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
