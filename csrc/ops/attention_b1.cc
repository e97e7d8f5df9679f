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

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/softmax_b1.h"
#include "ops/attention_scales.h"
#include "ops/biased_attention_b1.h"
#include "ops/context_b1.h"
#include "ops/head_bits.h"
#include "ops/head_blocks.h"
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

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    const auto heads = make_heads<Head>(in_.groups, work.n_threads, [&](int h) {
      return Head{KeysB1(inputs[1].group(h), n, in_.words()), context_.values_of(inputs[2], h)};
    });
    Value y = work.make(type(), n);
    // One task computes all heads of a row, because heads share words of a binary output.
    parallel_for(n, kBlockRows, work.n_threads, [&](int64_t begin, int64_t end) {
      const GemmB1Kernel& kernel = heads[0]->values.kernel();
      const int step = std::min(kernel.rows, QueriesB1::kMax);
      ContextRows rows(kernel, words_seen(n, step));
      std::vector<uint16_t> counts(step * rows.p_words * kWordBits);
      context_.clear(begin, end, y);
      for (int64_t first = begin; first < end; first += step) {
        const int n_rows = static_cast<int>(std::min<int64_t>(step, end - first));
        for (int h = 0; h < in_.groups; ++h) {
          attend(inputs[0].group(h), *heads[h], h, first, n_rows, n, counts, rows, y);
        }
      }
    });
    return y;
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
  void attend(const uint64_t* q, const Head& head, int h, int64_t first, int n_rows, int64_t n,
              std::vector<uint16_t>& counts, ContextRows& rows, const Value& y) const {
    const int words = in_.words();
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min(n, first + n_rows + radius_);
    // Key indices start at a word boundary.
    const int64_t base = low / kWordBits * kWordBits;
    const auto span = static_cast<int>(words_for(high - base));
    const ExpTable table = exp_weights_->table(prob_half_);
    QueriesB1 queries{q + first * words, n_rows, words, {}, {}};
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      queries.from[i] = radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_) - base;
      queries.to[i] = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      std::fill_n(rows.p.data() + i * rows.p_words, span, uint64_t{0});
    }
    softmax_.run(table, queries, head.keys.block(base), counts.data(), rows.p.data(), rows.p_words,
                 rows.ones.data());
    context_.write(head.values, rows, n_rows, static_cast<int>(base / kWordBits), span, first, h,
                   y);
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
