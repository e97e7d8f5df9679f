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
#include "ops/heads.h"
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

  Needs needs(size_t input) const override {
    return input == 0 || input == PositionBias::kGate ? Needs::row() : Needs::all();
  }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, PositionBias::kBias);
  }
  int n_column_groups() const override { return heads_; }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Heads<Head>>(
        heads_, inputs, [this](const std::vector<View>& in, int h) {
          return Head{KeysI8(in[1], q_set_, h, d_), context_.values_of(in[2], h),
                      bias_.of_head(in, h)};
        });
  }

  void run_rows(const Block& block) const override {
    const Head& head = static_cast<const Heads<Head>&>(*block.state)[block.column_group];
    const int step = head.keys.kernel().rows;
    Buffers buffers(head, block.inputs[1].rows.end, radius_);
    for (int64_t i = block.rows.begin; i < block.rows.end; i += step) {
      attend(block, head, i, static_cast<int>(std::min<int64_t>(step, block.rows.end - i)),
             buffers);
    }
  }

 private:
  // Operands shared by all rows.
  struct Head {
    KeysI8 keys;
    PanelsI8 values;
    std::vector<float> bias;  // by distance
  };

  // Buffers for a few rows and the keys in their windows.
  struct Buffers {
    Buffers(const Head& head, int64_t n, int radius)
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
  void attend(const Block& block, const Head& head, int64_t first, int n_rows,
              Buffers& buffers) const {
    const int h = block.column_group;
    const View& q = block.inputs[0];
    const GemmI8Kernel& kernel = head.keys.kernel();
    const int64_t n = block.inputs[1].rows.end;
    const int64_t n_keys = buffers.rows.n_keys;
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min<int64_t>(n, first + n_rows + int64_t{radius_});
    // Key indices start at a panel boundary, which is also a multiple of four.
    const int64_t base = low / kernel.cols * kernel.cols;
    for (int64_t j = base; j < high; j += kernel.cols) {
      kernel.run(q.codes_row(first) + h * d_, type_.cols, n_rows,
                 head.keys.panels().panel(static_cast<int>(j / kernel.cols)), d_,
                 buffers.dots.data() + j - base, n_keys);
    }
    const auto span = static_cast<int>(high - base);
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      const int64_t from = (radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_)) - base;
      const int64_t to = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      const int32_t* dots = buffers.dots.data() + i * n_keys;
      const int32_t* offset = head.keys.offset(base);
      // One product of both scales.
      exp_.scores({dots + from, offset + from, q_set_.step(), score_scale_, 1.0f},
                  buffers.scores.data() + from, to - from);
      bias_.add(block.inputs, head.bias, h, row, buffers.scores.data(), n);
      uint8_t* codes = buffers.rows.row(i);
      std::fill(codes, codes + from, uint8_t{0});
      context_.softmax(buffers.scores.data() + from, to - from, buffers.rows, codes + from);
      std::fill(codes + to, codes + span, uint8_t{0});
    }
    context_.write(head.values, buffers.rows, n_rows, base, span, first, h, block.y);
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
