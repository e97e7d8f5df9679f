// attention_b1: Q, K, V and the softmax probabilities are bits.
//
// Per head: count = popcount(q xor k), score = score_scale * (d - 2 count).  A probability is
// binarized by p > prob_half and never stored (kernels/softmax_b1.h).  ops/context_b1.h multiplies
// the bits with the values.
// With a radius, only words of 64 keys inside the window of a row are read.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "graph/op.h"
#include "kernels/softmax_b1.h"
#include "ops/attention_scales.h"
#include "ops/biased_attention_b1.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"
#include "ops/heads.h"
#include "ops/position_bias.h"

namespace earbit {
namespace {

class AttentionB1 : public Op {
 public:
  AttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(head_dim_of_bits(inputs, attributes)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        prob_half_(probability_step_of(attributes, "prob_half")),
        softmax_(softmax_b1_kernel(chosen_isa())),
        context_(attributes, in_.groups, d_) {
    const float score_scale = score_scale_of(attributes, "score_scale", d_);
    // Sums are at least 1, in units of 2^-31.  Weights below half a unit do not change them, and
    // are far below all limits.
    constexpr float kLeast = 0x1p-32f;
    std::vector<float> exp;
    for (int count = 0; count <= d_; ++count) {
      const float weight = std::exp(-2.0f * score_scale * static_cast<float>(count));
      if (count > 0 && weight < kLeast) break;
      exp.push_back(weight);
    }
    exp_weights_.emplace(std::move(exp));
  }

  const Type& type() const override { return context_.type(); }

  Needs needs(size_t input) const override { return input == 0 ? Needs::row() : Needs::all(); }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, inputs.size());
  }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Heads<Head>>(
        in_.groups, inputs, [this](const std::vector<View>& in, int h) {
          const int64_t n = in[1].rows.size();
          return Head{KeysB1(in[1].bits_row(h, 0), n, in_.words()), context_.values_of(in[2], h)};
        });
  }

  // All heads of a row at once, because heads share words of a binary output.
  void run_rows(const Block& block) const override {
    const auto& heads = static_cast<const Heads<Head>&>(*block.state);
    const int64_t n = block.inputs[1].rows.end;
    const GemmB1Kernel& kernel = heads[0].values.kernel();
    const int step = std::min(kernel.rows, QueriesB1::kMax);
    ContextRows rows(kernel, words_seen(n, step));
    std::vector<uint16_t> counts(step * rows.p_words * kWordBits);
    context_.clear(block.rows.begin, block.rows.end, block.y);
    for (int64_t first = block.rows.begin; first < block.rows.end; first += step) {
      const int n_rows = static_cast<int>(std::min<int64_t>(step, block.rows.end - first));
      for (int h = 0; h < in_.groups; ++h) {
        attend(block, heads[h], h, first, n_rows, counts, rows);
      }
    }
  }

 private:
  // Operands shared by all rows: keys, and values as weights of p.
  struct Head {
    KeysB1 keys;
    PanelsB1 values;
  };

  // Maximum number of words of keys in the windows of a few of n rows.
  int64_t words_seen(int64_t n, int n_rows) const {
    const int64_t every = words_for(n);
    if (radius_ < 0) return every;
    // One more word on each side, because keys are read in whole words.
    return std::min(every, words_for(2 * int64_t{radius_} + n_rows) + 1);
  }

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void attend(const Block& block, const Head& head, int h, int64_t first, int n_rows,
              std::vector<uint16_t>& counts, ContextRows& rows) const {
    const int64_t n = block.inputs[1].rows.end;
    const int words = in_.words();
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min(n, first + n_rows + radius_);
    // Key indices start at a word boundary.
    const int64_t base = low / kWordBits * kWordBits;
    const auto span = static_cast<int>(words_for(high - base));
    const ExpTable table = exp_weights_->table(prob_half_);
    QueriesB1 queries{block.inputs[0].bits_row(h, first), n_rows, words, {}, {}};
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      queries.from[i] = radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_) - base;
      queries.to[i] = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      std::fill_n(rows.p.data() + i * rows.p_words, span, uint64_t{0});
    }
    softmax_.run(table, queries, head.keys.block(base), counts.data(), rows.p.data(), rows.p_words,
                 rows.ones.data());
    context_.write(head.values, rows, n_rows, static_cast<int>(base / kWordBits), span, first, h,
                   block.y);
  }

  Type in_;
  int d_;
  int radius_;
  float prob_half_;
  const SoftmaxB1Kernel& softmax_;
  ContextB1 context_;
  std::optional<ExpWeights> exp_weights_;  // exp(-2 score_scale k) until it is negligible
};

}  // namespace

std::unique_ptr<Op> make_attention_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_bits(PositionBias::operands(inputs), 3);
  if (inputs.size() > PositionBias::kGate) {
    return std::make_unique<BiasedAttentionB1>(inputs, attributes);
  }
  return std::make_unique<AttentionB1>(inputs, attributes);
}

}  // namespace earbit
