// Attention on codes of 1 to 8 bits: probabilities become unsigned codes.
//
// Per head, with dots on codes (ops/keys_i8.h):
//   score(i, j) = dot(q_i, k_j) * (q_scale * k_scale), or with relative positions
//   score(i, j) = dot(q_i, k_j) * q_scale * k_scale + dot(p_i, r_(i-j)) * p_scale * r_scale
// rounded after every operation, as in training.  ops/context_i8.h quantizes the softmax over j and
// multiplies the codes with the values.  A few queries are computed at a time, with only the keys
// and distances that they need.
#pragma once

#include <algorithm>
#include <optional>

#include "ops/attention.h"
#include "ops/attention_scales.h"
#include "ops/context_i8.h"
#include "ops/keys_i8.h"

namespace earbit {

class AttentionInI8 {
 public:
  static constexpr auto kOperands = Work::Operands::i8;
  static constexpr bool kIsByHead = true;

  // Operands of some frames of one head.
  struct Head {
    Rows rows;
    KeysI8 keys;
    PanelsI8 values;
    std::optional<KeysI8> distances;
    std::vector<float> bias;  // by distance
  };

  struct Buffers {
    Buffers(const AttentionInI8& op, const Head& head, const Block&)
        : n_queries(head.keys.kernel().rows),
          rows(head.values, most_keys(head, op.pattern_.is_window())),
          dots(rows.codes.size()),
          // Distances are read in whole panels, from the panel of the first.
          distance_cols(head.distances ? rows.n_keys + n_queries + 2 * head.keys.kernel().cols : 0),
          by_distance(static_cast<size_t>(n_queries * distance_cols)),
          scores(rows.n_keys) {}

    // Whole panels, and one more on the left of a window.
    static int64_t most_keys(const Head& head, bool is_window) {
      const int cols = head.keys.kernel().cols;
      return (head.rows.size() + cols - 1) / cols * cols + (is_window ? cols : 0);
    }

    int64_t n_queries;
    CodeRows rows;
    std::vector<int32_t> dots;  // (queries, n_keys)
    int64_t distance_cols;
    std::vector<int32_t> by_distance;  // (queries, distance_cols)
    std::vector<float> scores;         // of one query
  };

  AttentionInI8(const std::vector<Type>& inputs, Attributes& attributes,
                const AttentionPattern& pattern)
      : pattern_(pattern),
        q_set_(inputs[pattern.inputs().query].set),
        type_(Type::floats(inputs[0].cols)),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        d_(head_dim_of(pattern.operands(inputs), heads_)),
        content_(ScoreScales::read(attributes, "q_scale", "k_scale", q_set_,
                                   inputs[pattern.inputs().key].set, d_)),
        exp_(exp_kernels(chosen_isa())),
        context_(attributes, d_) {
    if (!pattern.is_relative()) return;
    p_set_ = inputs[pattern.inputs().position_query].set;
    position_ = ScoreScales::read(attributes, "p_scale", "r_scale", p_set_,
                                  inputs[pattern.inputs().distance].set, d_);
  }

  const AttentionPattern& pattern() const { return pattern_; }
  const Type& type() const { return type_; }
  int width() const { return type_.cols; }
  int n_heads() const { return heads_; }
  // Neighbouring blocks lay out the same keys in a window.
  int64_t block_queries() const { return pattern_.is_window() ? 8 * kBlockQueries : kBlockQueries; }

  Head head(std::span<const View> inputs, int h, const Rows& keys) const {
    const AttentionPattern::Inputs& in = pattern_.inputs();
    Head head{keys, KeysI8(part(inputs[in.key], keys), q_set_, h, d_),
              context_.values_of(part(inputs[in.value], keys), h), std::nullopt,
              pattern_.bias_of(inputs, h)};
    if (pattern_.is_relative()) head.distances.emplace(inputs[in.distance], p_set_, h, d_);
    return head;
  }

  void attend(const Block& block, const Head& head, int h, const Rows& queries,
              Buffers& buffers) const {
    const GemmI8Kernel& kernel = head.keys.kernel();
    const auto n_rows = static_cast<int>(queries.size());
    const Rows seen = pattern_.seen(queries, head.rows);
    // Keys start at the border of a panel, which is also a multiple of four.
    const int64_t base = (seen.begin - head.rows.begin) / kernel.cols * kernel.cols;
    const int64_t end = seen.end - head.rows.begin;
    const uint8_t* q = block.inputs[pattern_.inputs().query].codes_row(queries.begin) + h * d_;
    multiply(head.keys, q, n_rows, base, end, buffers.dots.data(), buffers.rows.n_keys);
    const int64_t n = head.rows.size();
    const int64_t first_distance = (n - queries.end) / kernel.cols * kernel.cols;
    if (pattern_.is_relative()) {
      const View& p = block.inputs[pattern_.inputs().position_query];
      multiply(*head.distances, p.codes_row(queries.begin) + h * d_, n_rows, first_distance,
               2 * n - 1 - queries.begin, buffers.by_distance.data(), buffers.distance_cols);
    }
    const auto span = static_cast<int>(end - base);
    for (int i = 0; i < n_rows; ++i) {
      const int64_t query = queries.begin + i;
      const Rows of_query = pattern_.seen(query, head.rows);
      const int64_t from = of_query.begin - head.rows.begin - base;
      const int64_t to = of_query.end - head.rows.begin - base;
      float* scores = buffers.scores.data();
      const int32_t* dots = buffers.dots.data() + i * buffers.rows.n_keys + from;
      const int32_t* offset = head.keys.offset(base + from);
      if (pattern_.is_relative()) {
        const int64_t nearest = n - 1 - query;  // the row of r that the first key reads
        exp_.add_dots(
            {dots, offset, q_set_.step(), content_.left, content_.right},
            {buffers.by_distance.data() + i * buffers.distance_cols + nearest - first_distance,
             head.distances->offset(nearest), p_set_.step(), position_.left, position_.right},
            scores, to - from);
      } else {
        exp_.scores({dots, offset, q_set_.step(), content_.product(), 1.0f}, scores, to - from);
      }
      pattern_.add_bias(block.inputs, head.bias, h, query, scores, n);
      uint8_t* codes = buffers.rows.row(i);
      std::fill(codes, codes + from, uint8_t{0});
      context_.softmax(scores, to - from, buffers.rows, codes + from);
      std::fill(codes + to, codes + span, uint8_t{0});
    }
    context_.write(head.values, buffers.rows, n_rows, base, span, queries.begin, h, block.y);
  }

 private:
  static View part(const View& x, const Rows& rows) {
    return {x.type, rows, x.codes_row(rows.begin), rows.size()};
  }

  // Dots of some rows with the keys from a border of panels up to `end`.
  void multiply(const KeysI8& keys, const uint8_t* rows, int n_rows, int64_t base, int64_t end,
                int32_t* dots, int64_t stride) const {
    const GemmI8Kernel& kernel = keys.kernel();
    for (int64_t j = base; j < end; j += kernel.cols) {
      kernel.run(rows, type_.cols, n_rows, keys.panels().panel(static_cast<int>(j / kernel.cols)),
                 d_, dots + j - base, stride);
    }
  }

  AttentionPattern pattern_;
  CodeSet q_set_;
  CodeSet p_set_{};
  Type type_;
  int heads_;
  int d_;
  ScoreScales content_;
  ScoreScales position_{};
  const ExpKernels& exp_;
  ContextI8 context_;
};

}  // namespace earbit
