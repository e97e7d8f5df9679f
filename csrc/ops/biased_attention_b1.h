// attention_b1 with a gated position bias: Q, K, V and the probabilities are bits.
//
// Per head, with count = popcount(q_i xor k_j):
//   score(i, j) = score_scale * (d - 2 count) + gate(i) * bias(j - i)
// The bias makes scores of more values than counts have, so that exp is not a table as in
// attention_b1.  A probability is binarized by p > prob_half, and ops/context_b1.h multiplies the
// bits with the values.
#pragma once

#include <algorithm>
#include <vector>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_b1.h"
#include "ops/attention_scales.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"
#include "ops/heads.h"
#include "ops/position_bias.h"

namespace earbit {

class BiasedAttentionB1 : public Op {
 public:
  BiasedAttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(head_dim_of_bits(PositionBias::operands(inputs), attributes)),
        score_scale_(score_scale_of(attributes, "score_scale", d_)),
        prob_half_(probability_step_of(attributes, "prob_half")),
        bias_(inputs, in_.groups, attributes.integer("radius", -1, 1 << 30)),
        elementwise_(elementwise_kernels(chosen_isa())),
        exp_(exp_kernels(chosen_isa())),
        context_(attributes, in_.groups, d_) {}

  const Type& type() const override { return context_.type(); }

  Needs needs(size_t input) const override {
    return input == 0 || input == PositionBias::kGate ? Needs::row() : Needs::all();
  }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, PositionBias::kBias);
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
    Buffers buffers(heads[0], block.inputs[1].rows.end);
    context_.clear(block.rows.begin, block.rows.end, block.y);
    for (int64_t first = block.rows.begin; first < block.rows.end; first += step) {
      const int n_rows = static_cast<int>(std::min<int64_t>(step, block.rows.end - first));
      for (int h = 0; h < in_.groups; ++h) attend(block, h, heads[h], first, n_rows, buffers);
    }
  }

 private:
  // Operands shared by all rows: keys and values in the layout of weights, bias by distance.
  struct Head {
    PanelsB1 keys;
    PanelsB1 values;
    std::vector<float> bias;
  };

  // Buffers for a few rows.
  struct Buffers {
    Buffers(const Head& head, int64_t n)
        : key_cols(head.keys.padded_cols()),
          context(head.values.kernel(), words_for(n)),
          counts(static_cast<size_t>(head.keys.kernel().rows) * key_cols),
          scores(n) {}

    int64_t key_cols;
    ContextRows context;
    std::vector<int32_t> counts;  // (rows, key_cols)
    std::vector<float> scores;    // of one row
  };

  Head head(const std::vector<View>& inputs, int h) const {
    const int words = in_.words();
    return {PanelsB1(gemm_b1_kernel(chosen_isa()), inputs[1].bits_row(h, 0), words,
                     static_cast<int>(inputs[1].rows.size()), words),
            context_.values_of(inputs[2], h), bias_.of_head(inputs, h)};
  }

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void attend(const Block& block, int h, const Head& head, int64_t first, int n_rows,
              Buffers& buffers) const {
    const int64_t n = block.inputs[1].rows.end;
    const int words = in_.words();
    head.keys.run(block.inputs[0].bits_row(h, first), words, n_rows, BitOp::exclusive_or,
                  buffers.counts.data());
    float* scores = buffers.scores.data();
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* counts = buffers.counts.data() + i * buffers.key_cols;
      for (int64_t j = 0; j < n; ++j) {
        scores[j] = score_scale_ * static_cast<float>(d_ - 2 * counts[j]);
      }
      bias_.add(block.inputs, head.bias, h, first + i, scores, n);
      const float sum = exp_.exp_below(scores, exp_.most(scores, n), n);
      const float limit = least_above(prob_half_ * sum);
      ContextRows& rows = buffers.context;
      rows.ones[i] = static_cast<int32_t>(
          elementwise_.not_below(scores, limit, n, rows.p.data() + i * rows.p_words));
    }
    context_.write(head.values, buffers.context, n_rows, 0, static_cast<int>(words_for(n)), first,
                   h, block.y);
  }

  Type in_;
  int d_;
  float score_scale_;
  float prob_half_;
  PositionBias bias_;
  const ElementwiseKernels& elementwise_;
  const ExpKernels& exp_;
  ContextB1 context_;
};

}  // namespace earbit
