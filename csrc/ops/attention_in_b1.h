// Attention on bits: q, k, v and the probabilities are bits.
//
// Per head, with dot(a, b) = d - 2 popcount(a xor b):
//   score(i, j) = score_scale * dot(q_i, k_j), or with relative positions
//   score(i, j) = content_scale * dot(q_i, k_j) + position_scale * dot(p_i, r_(i-j))
// A probability is binarized by p > prob_half and never stored.  ops/context_b1.h multiplies the
// bits with the values.  A few queries are computed at a time, with only the keys and distances
// that they need.
//
// Scores of one product take as many values as counts, so that exp is a table
// (kernels/softmax_b1.h).  A bias or a second product makes more values.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_b1.h"
#include "kernels/softmax_b1.h"
#include "ops/attention.h"
#include "ops/attention_scales.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"

namespace earbit {

class AttentionInB1 {
 public:
  static constexpr auto kOperands = Work::Operands::b1;
  static constexpr bool kIsByHead = false;  // heads share words of a binary result

  // Operands of some frames of one head.
  struct Head {
    Rows rows;
    std::optional<KeysB1> table_keys;
    std::optional<PanelsB1> keys;
    PanelsB1 values;
    std::optional<PanelsB1> distances;
    std::vector<float> bias;  // by distance
  };

  struct Buffers {
    Buffers(const AttentionInB1& op, const Head& head, const Block& block)
        : n_queries(op.exp_weights_ ? std::min(head.values.kernel().rows, QueriesB1::kMax)
                                    : head.values.kernel().rows),
          // Keys are read in whole words, one more on the left of a window.
          context(head.values.kernel(), words_for(head.rows.size()) + 1),
          key_cols(head.keys ? head.keys->padded_cols() : context.p_words * kWordBits),
          // Distances are read in whole panels, from the panel of the first.
          distance_cols(head.distances
                            ? head.rows.size() + n_queries + 2 * int64_t{head.values.kernel().cols}
                            : 0),
          counts(block.scratch.take<int32_t>(n_queries * key_cols)),
          by_distance(block.scratch.take<int32_t>(n_queries * distance_cols)),
          scores(block.scratch.take<float>(head.keys ? head.rows.size() : 0)) {
      op.context_.clear(block.rows.begin, block.rows.end, block.y);
    }

    int64_t n_queries;
    ContextRows context;
    int64_t key_cols;
    int64_t distance_cols;
    int32_t* counts;       // (queries, key_cols)
    int32_t* by_distance;  // (queries, distance_cols)
    float* scores;         // of one query
  };

  AttentionInB1(const std::vector<Type>& inputs, Attributes& attributes,
                const AttentionPattern& pattern)
      : pattern_(pattern),
        in_(inputs[0]),
        d_(head_dim_of_bits(pattern.operands(inputs), attributes)),
        content_scale_(score_scale_of(attributes,
                                      pattern.is_relative() ? "content_scale" : "score_scale", d_)),
        prob_half_(probability_step_of(attributes, "prob_half")),
        elementwise_(elementwise_kernels(chosen_isa())),
        exp_(exp_kernels(chosen_isa())),
        softmax_(softmax_b1_kernel(chosen_isa())),
        context_(attributes, in_.groups, d_) {
    if (pattern.is_relative()) position_scale_ = score_scale_of(attributes, "position_scale", d_);
    if (!pattern.is_relative() && !pattern.is_biased()) exp_weights_.emplace(exp_of_counts());
  }

  const AttentionPattern& pattern() const { return pattern_; }
  const Type& type() const { return context_.type(); }
  int width() const { return in_.groups * d_; }
  int n_heads() const { return in_.groups; }
  // Neighbouring blocks lay out the same keys in a window.
  int64_t block_queries() const { return pattern_.is_window() ? 8 * kBlockQueries : kBlockQueries; }

  Head head(std::span<const View> inputs, int h, const Rows& keys) const {
    const AttentionPattern::Inputs& in = pattern_.inputs();
    const auto n = static_cast<int>(keys.size());
    const int words = in_.words();
    const GemmB1Kernel& kernel = gemm_b1_kernel(chosen_isa());
    const uint64_t* k = inputs[in.key].bits_row(h, keys.begin);
    Head head{keys,         std::nullopt,
              std::nullopt, context_.values_of(inputs[in.value].bits_row(h, keys.begin), n),
              std::nullopt, pattern_.bias_of(inputs, h)};
    if (exp_weights_) {
      head.table_keys.emplace(k, n, words);
    } else {
      head.keys.emplace(kernel, k, words, n, words);
    }
    if (pattern_.is_relative()) {
      head.distances.emplace(kernel, inputs[in.distance].bits_row(h, 0), words, 2 * n - 1, words);
    }
    return head;
  }

  void attend(const Block& block, const Head& head, int h, const Rows& queries,
              Buffers& buffers) const {
    const Rows seen = pattern_.seen(queries, head.rows);
    // Keys start at the border of a word.
    const int64_t base = (seen.begin - head.rows.begin) / kWordBits * kWordBits;
    const auto span = static_cast<int>(words_for(seen.end - head.rows.begin - base));
    if (exp_weights_) {
      attend_by_table(block, head, h, queries, base, span, buffers);
    } else {
      attend_by_scores(block, head, h, queries, buffers);
    }
    context_.write(head.values, buffers.context, static_cast<int>(queries.size()),
                   static_cast<int>(base / kWordBits), span, queries.begin, h, block.y);
  }

 private:
  std::vector<float> exp_of_counts() const {
    // Sums are at least 1, in units of 2^-31.  Weights below half a unit do not change them, and
    // are far below all limits.
    constexpr float kLeast = 0x1p-32f;
    std::vector<float> exp;
    for (int count = 0; count <= d_; ++count) {
      const float weight = std::exp(-2.0f * content_scale_ * static_cast<float>(count));
      if (count > 0 && weight < kLeast) break;
      exp.push_back(weight);
    }
    return exp;
  }

  void attend_by_table(const Block& block, const Head& head, int h, const Rows& queries,
                       int64_t base, int span, Buffers& buffers) const {
    ContextRows& rows = buffers.context;
    const auto n_rows = static_cast<int>(queries.size());
    const uint64_t* q = block.inputs[pattern_.inputs().query].bits_row(h, queries.begin);
    QueriesB1 to_attend{q, n_rows, in_.words(), {}, {}};
    for (int i = 0; i < n_rows; ++i) {
      const Rows seen = pattern_.seen(queries.begin + i, head.rows);
      to_attend.from[i] = seen.begin - head.rows.begin - base;
      to_attend.to[i] = seen.end - head.rows.begin - base;
      std::fill_n(rows.p.data() + i * rows.p_words, span, uint64_t{0});
    }
    softmax_.run(exp_weights_->table(prob_half_), to_attend, head.table_keys->block(base),
                 buffers.counts, rows.p.data(), rows.p_words, rows.ones.data());
  }

  // All keys.
  void attend_by_scores(const Block& block, const Head& head, int h, const Rows& queries,
                        Buffers& buffers) const {
    const int64_t n = head.rows.size();
    const int words = in_.words();
    const auto n_rows = static_cast<int>(queries.size());
    const GemmB1Kernel& kernel = head.keys->kernel();
    const AttentionPattern::Inputs& in = pattern_.inputs();
    head.keys->run(block.inputs[in.query].bits_row(h, queries.begin), words, n_rows,
                   BitOp::exclusive_or, buffers.counts);
    // The smallest row of r is that of the last query and the first key, the largest that of the
    // first query and the last key.
    const int64_t first = (n - queries.end) / kernel.cols * kernel.cols;
    for (int64_t m = first; pattern_.is_relative() && m < 2 * n - 1 - queries.begin;
         m += kernel.cols) {
      kernel.run(block.inputs[in.position_query].bits_row(h, queries.begin), words, n_rows,
                 head.distances->panel(static_cast<int>(m / kernel.cols)), words,
                 BitOp::exclusive_or, buffers.by_distance + m - first, buffers.distance_cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int64_t query = queries.begin + i;
      const int32_t* counts = buffers.counts + i * buffers.key_cols;
      const int32_t* by_distance =
          buffers.by_distance + i * buffers.distance_cols + (n - 1 - query - first);
      const float most = score(block, head, h, query, counts, by_distance, buffers.scores);
      const float sum = exp_.exp_below(buffers.scores, most, n);
      const float limit = least_above(prob_half_ * sum);
      ContextRows& rows = buffers.context;
      rows.ones[i] = static_cast<int32_t>(
          elementwise_.not_below(buffers.scores, limit, n, rows.p.data() + i * rows.p_words));
    }
  }

  // Writes the scores of one query; returns the largest.
  float score(const Block& block, const Head& head, int h, int64_t query, const int32_t* counts,
              const int32_t* by_distance, float* scores) const {
    const int64_t n = head.rows.size();
    // The part of the score that is equal for all keys cancels in the softmax.
    if (pattern_.is_relative()) {
      return exp_.weighted_sum(counts, by_distance, -2.0f * content_scale_, -2.0f * position_scale_,
                               scores, n);
    }
    for (int64_t j = 0; j < n; ++j) {
      scores[j] = content_scale_ * static_cast<float>(d_ - 2 * counts[j]);
    }
    pattern_.add_bias(block.inputs, head.bias, h, query, scores, n);
    return exp_.most(scores, n);
  }

  AttentionPattern pattern_;
  Type in_;
  int d_;
  float content_scale_;
  float position_scale_ = 0;
  float prob_half_;
  const ElementwiseKernels& elementwise_;
  const ExpKernels& exp_;
  const SoftmaxB1Kernel& softmax_;
  ContextB1 context_;
  std::optional<ExpWeights> exp_weights_;  // exp(-2 score_scale k) until it is negligible
};

}  // namespace earbit
