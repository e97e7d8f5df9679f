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

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_b1.h"
#include "ops/attention_scales.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"
#include "ops/head_blocks.h"
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

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    bias_.expect_rows(inputs, n);
    const auto heads =
        make_heads<Head>(in_.groups, work.n_threads, [&](int h) { return head(inputs, h); });
    Value y = work.make(type(), n);
    // One task computes all heads of a row, because heads share words of a binary output.
    parallel_for(n, kBlockRows, work.n_threads, [&](int64_t begin, int64_t end) {
      const int step = heads[0]->keys.kernel().rows;
      Block block(*heads[0], n);
      context_.clear(begin, end, y);
      for (int64_t first = begin; first < end; first += step) {
        const int n_rows = static_cast<int>(std::min<int64_t>(step, end - first));
        for (int h = 0; h < in_.groups; ++h) attend(inputs, h, *heads[h], first, n_rows, block, y);
      }
    });
    return y;
  }

 private:
  // Operands shared by all rows: keys and values in the layout of weights, bias by distance.
  struct Head {
    PanelsB1 keys;
    PanelsB1 values;
    std::vector<float> bias;
  };

  // Buffers for a few rows.
  struct Block {
    Block(const Head& head, int64_t n)
        : key_cols(head.keys.padded_cols()),
          context(head.values.kernel(), words_for(n)),
          counts(static_cast<size_t>(head.keys.kernel().rows) * key_cols),
          scores(n) {}

    int64_t key_cols;
    ContextRows context;
    std::vector<int32_t> counts;  // (rows, key_cols)
    std::vector<float> scores;    // of one row
  };

  Head head(const std::vector<Value>& inputs, int h) const {
    const int words = in_.words();
    return {PanelsB1(gemm_b1_kernel(chosen_isa()), inputs[1].group(h), words,
                     static_cast<int>(inputs[1].rows), words),
            context_.values_of(inputs[2], h), bias_.of_head(inputs, h)};
  }

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void attend(const std::vector<Value>& inputs, int h, const Head& head, int64_t first, int n_rows,
              Block& block, const Value& y) const {
    const int64_t n = inputs[0].rows;
    const int words = in_.words();
    head.keys.run(inputs[0].group(h) + first * words, words, n_rows, BitOp::exclusive_or,
                  block.counts.data());
    float* scores = block.scores.data();
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* counts = block.counts.data() + i * block.key_cols;
      for (int64_t j = 0; j < n; ++j) {
        scores[j] = score_scale_ * static_cast<float>(d_ - 2 * counts[j]);
      }
      bias_.add(inputs, head.bias, h, first + i, scores, n);
      const float sum = exp_.exp_below(scores, exp_.most(scores, n), n);
      const float limit = least_above(prob_half_ * sum);
      ContextRows& rows = block.context;
      rows.ones[i] = static_cast<int32_t>(
          elementwise_.not_below(scores, limit, n, rows.p.data() + i * rows.p_words));
    }
    context_.write(head.values, block.context, n_rows, 0, static_cast<int>(words_for(n)), first, h,
                   y);
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
