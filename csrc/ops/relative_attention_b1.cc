// relative_attention_b1: both queries, keys, values, distances and probabilities are bits.
//
// Per head, with dot(a, b) = d - 2 popcount(a xor b):
//   score(i, j) = content_scale * dot(q_i, k_j) + position_scale * dot(p_i, r_(i-j))
// Row m of r is distance n - 1 - m of n frames, so row i of scores reads the counts of its p from
// index n - 1 - i.  A probability is binarized by p > prob_half, and ops/context_b1.h multiplies
// the bits with the values.  A few rows are computed at a time, with only the distances they need.
#include <algorithm>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_b1.h"
#include "ops/attention_scales.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"
#include "ops/heads.h"

namespace earbit {
namespace {

class RelativeAttentionB1 : public Op {
 public:
  enum Input { kContentQuery, kPositionQuery, kKey, kDistance, kValue, kInputs };

  RelativeAttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(head_dim_of_bits(inputs, attributes)),
        content_scale_(score_scale_of(attributes, "content_scale", d_)),
        position_scale_(score_scale_of(attributes, "position_scale", d_)),
        prob_half_(probability_step_of(attributes, "prob_half")),
        elementwise_(elementwise_kernels(chosen_isa())),
        exp_(exp_kernels(chosen_isa())),
        context_(attributes, in_.groups, d_) {}

  const Type& type() const override { return context_.type(); }

  Needs needs(size_t input) const override {
    return input == kContentQuery || input == kPositionQuery ? Needs::row() : Needs::all();
  }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, kDistance);
  }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Heads<Head>>(
        in_.groups, inputs, [this](const std::vector<View>& in, int h) { return head(in, h); });
  }

  // All heads of a row at once, because heads share words of a binary output.
  void run_rows(const Block& block) const override {
    const auto& heads = static_cast<const Heads<Head>&>(*block.state);
    const int step = heads[0].keys.kernel().rows;
    Buffers buffers(heads[0], block.inputs[kKey].rows.end);
    context_.clear(block.rows.begin, block.rows.end, block.y);
    for (int64_t first = block.rows.begin; first < block.rows.end; first += step) {
      const int n_rows = static_cast<int>(std::min<int64_t>(step, block.rows.end - first));
      for (int h = 0; h < in_.groups; ++h) attend(block, h, heads[h], first, n_rows, buffers);
    }
  }

 private:
  // Operands shared by all rows, in the layout of weights.
  struct Head {
    PanelsB1 keys;
    PanelsB1 distances;
    PanelsB1 values;
  };

  // Buffers for a few rows.
  struct Buffers {
    Buffers(const Head& head, int64_t n)
        : key_cols(head.keys.padded_cols()),
          // Distances are read in whole panels, from the panel of the first.
          distance_cols(n + head.keys.kernel().rows + 2 * head.keys.kernel().cols),
          context(head.values.kernel(), words_for(n)) {
      const int n_rows = head.keys.kernel().rows;
      by_content.resize(static_cast<size_t>(n_rows) * key_cols);
      by_distance.resize(static_cast<size_t>(n_rows) * distance_cols);
      scores.resize(n);
    }

    int64_t key_cols;
    int64_t distance_cols;
    std::vector<int32_t> by_content;   // (rows, key_cols)
    std::vector<int32_t> by_distance;  // (rows, distance_cols)
    std::vector<float> scores;         // of one row
    ContextRows context;
  };

  Head head(const std::vector<View>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[kKey].rows.size());
    const int words = in_.words();
    const GemmB1Kernel& kernel = gemm_b1_kernel(chosen_isa());
    return {PanelsB1(kernel, inputs[kKey].bits_row(h, 0), words, n, words),
            PanelsB1(kernel, inputs[kDistance].bits_row(h, 0), words, 2 * n - 1, words),
            context_.values_of(inputs[kValue], h)};
  }

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void attend(const Block& block, int h, const Head& head, int64_t first, int n_rows,
              Buffers& buffers) const {
    const int64_t n = block.inputs[kKey].rows.end;
    const GemmB1Kernel& kernel = head.keys.kernel();
    const int words = in_.words();
    head.keys.run(block.inputs[kContentQuery].bits_row(h, first), words, n_rows,
                  BitOp::exclusive_or, buffers.by_content.data());
    // The smallest row of r is that of the last row and the first key, the largest that of the
    // first row and the last key, 2 n - 2 - first.
    const int64_t base = (n - first - n_rows) / kernel.cols * kernel.cols;
    for (int64_t m = base; m < 2 * n - 1 - first; m += kernel.cols) {
      kernel.run(block.inputs[kPositionQuery].bits_row(h, first), words, n_rows,
                 head.distances.panel(static_cast<int>(m / kernel.cols)), words,
                 BitOp::exclusive_or, buffers.by_distance.data() + m - base, buffers.distance_cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* by_content = buffers.by_content.data() + i * buffers.key_cols;
      const int32_t* by_distance =
          buffers.by_distance.data() + i * buffers.distance_cols + (n - 1 - first - i - base);
      // The part of the score that is equal for all keys cancels in the softmax.
      const float most = exp_.weighted_sum(by_content, by_distance, -2.0f * content_scale_,
                                           -2.0f * position_scale_, buffers.scores.data(), n);
      const float sum = exp_.exp_below(buffers.scores.data(), most, n);
      const float limit = least_above(prob_half_ * sum);
      ContextRows& rows = buffers.context;
      rows.ones[i] = static_cast<int32_t>(elementwise_.not_below(buffers.scores.data(), limit, n,
                                                                 rows.p.data() + i * rows.p_words));
    }
    context_.write(head.values, buffers.context, n_rows, 0, static_cast<int>(words_for(n)), first,
                   h, block.y);
  }

  Type in_;
  int d_;
  float content_scale_;
  float position_scale_;
  float prob_half_;
  const ElementwiseKernels& elementwise_;
  const ExpKernels& exp_;
  ContextB1 context_;
};

}  // namespace

std::unique_ptr<Op> make_relative_attention_b1(const std::vector<Type>& inputs,
                                               Attributes& attributes) {
  expect_bits(inputs, RelativeAttentionB1::kInputs);
  return std::make_unique<RelativeAttentionB1>(inputs, attributes);
}

}  // namespace earbit
