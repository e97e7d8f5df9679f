// attention_i8: Q, K and V are codes of 1 to 8 bits each, probabilities become unsigned codes.
//
// Per head: dot = q . k on codes (ops/keys_i8.h), p = softmax((q_scale * k_scale) * dot) in float,
// with a gated position bias added to the scores if there is one (ops/position_bias.h).
// ops/context_i8.h quantizes p and multiplies the codes with the values.  A few rows are computed
// at a time, with a radius only against the keys in their windows.
#include <algorithm>

#include "graph/op.h"
#include "ops/attention_scales.h"
#include "ops/context_i8.h"
#include "ops/head_blocks.h"
#include "ops/keys_i8.h"
#include "ops/position_bias.h"

namespace earbit {
namespace {

class AttentionI8 : public Op {
 public:
  AttentionI8(const std::vector<Type>& inputs, Attributes& attributes)
      : q_set_(inputs[0].set),
        type_(Type::floats(inputs[0].cols)),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        d_(head_dim_of(PositionBias::operands(inputs), heads_)),
        score_scale_(ScoreScales::read(attributes, "q_scale", "k_scale", q_set_, inputs[1].set, d_)
                         .product()),
        bias_(inputs, heads_, radius_),
        exp_(exp_kernels(chosen_isa())),
        context_(attributes, d_) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    bias_.expect_rows(inputs, n);
    const auto heads = make_heads<Head>(heads_, work.n_threads, [&](int h) {
      return Head{KeysI8(inputs[1], q_set_, h, d_), context_.values_of(inputs[2], h),
                  bias_.of_head(inputs, h)};
    });
    Value y = work.make(type_, n);
    const int step = heads[0]->keys.kernel().rows;
    for_head_blocks(
        heads_, n, work.n_threads, [&] { return Block(*heads[0], n, radius_); },
        [&](Block& block, int h, int64_t first, int64_t last) {
          for (int64_t i = first; i < last; i += step) {
            const int n_rows = static_cast<int>(std::min<int64_t>(step, last - i));
            attend(inputs, h, *heads[h], i, n_rows, block, y);
          }
        });
    return y;
  }

 private:
  // Operands shared by all rows.
  struct Head {
    KeysI8 keys;
    PanelsI8 values;
    std::vector<float> bias;  // by distance
  };

  // Buffers for a few rows and the keys in their windows.
  struct Block {
    Block(const Head& head, int64_t n, int radius)
        : rows(head.values, most_keys(head.keys.kernel(), n, radius)),
          dots(rows.codes.size()),
          scores(rows.n_keys) {}

    static int64_t most_keys(const GemmI8Kernel& kernel, int64_t n, int radius) {
      const int64_t seen = radius < 0 ? n : std::min(n, 2 * int64_t{radius} + kernel.rows);
      // One more panel on the left, because keys are read in whole panels, and the rest of the
      // last.
      return (seen + 2 * kernel.cols - 1) / kernel.cols * kernel.cols + kernel.cols;
    }

    CodeRows rows;
    std::vector<int32_t> dots;  // (rows, n_keys)
    std::vector<float> scores;  // of one row
  };

  // Computes rows [first, first + n_rows) of one head.
  void attend(const std::vector<Value>& inputs, int h, const Head& head, int64_t first, int n_rows,
              Block& block, const Value& y) const {
    const Value& q = inputs[0];
    const GemmI8Kernel& kernel = head.keys.kernel();
    const int64_t n = q.rows;
    const int64_t n_keys = block.rows.n_keys;
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min<int64_t>(n, first + n_rows + int64_t{radius_});
    // Key indices start at a panel boundary, which is also a multiple of four.
    const int64_t base = low / kernel.cols * kernel.cols;
    for (int64_t j = base; j < high; j += kernel.cols) {
      kernel.run(q.codes_row(first) + h * d_, type_.cols, n_rows,
                 head.keys.panels().panel(static_cast<int>(j / kernel.cols)), d_,
                 block.dots.data() + j - base, n_keys);
    }
    const auto span = static_cast<int>(high - base);
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      const int64_t from = (radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_)) - base;
      const int64_t to = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      const int32_t* dots = block.dots.data() + i * n_keys;
      const int32_t* offset = head.keys.offset(base);
      // One product of both scales.
      exp_.scores({dots + from, offset + from, q_set_.step(), score_scale_, 1.0f},
                  block.scores.data() + from, to - from);
      bias_.add(inputs, head.bias, h, row, block.scores.data(), n);
      uint8_t* codes = block.rows.row(i);
      std::fill(codes, codes + from, uint8_t{0});
      context_.softmax(block.scores.data() + from, to - from, block.rows, codes + from);
      std::fill(codes + to, codes + span, uint8_t{0});
    }
    context_.write(head.values, block.rows, n_rows, base, span, first, h, y);
  }

  CodeSet q_set_;
  Type type_;
  int heads_;
  int radius_;
  int d_;
  float score_scale_;
  PositionBias bias_;
  const ExpKernels& exp_;
  ContextI8 context_;
};

}  // namespace

std::unique_ptr<Op> make_attention_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(PositionBias::operands(inputs), 3);
  return std::make_unique<AttentionI8>(inputs, attributes);
}

}  // namespace earbit
