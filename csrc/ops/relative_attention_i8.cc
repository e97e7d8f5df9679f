// relative_attention_i8: both queries, keys, distances and values are codes of 1 to 8 bits each,
// probabilities become unsigned codes.
//
// Per head, with dots on codes (ops/keys_i8.h):
//   score(i, j) = dot(q_i, k_j) * q_scale * k_scale + dot(p_i, r_(i-j)) * p_scale * r_scale
// rounded after every operation, as in training.  Row m of r is distance n - 1 - m of n frames, so
// row i of scores reads the dots of its p from index n - 1 - i.  ops/context_i8.h quantizes the
// softmax over j and multiplies the codes with the values.  A few rows are computed at a time, with
// only the distances they need.
#include <algorithm>

#include "graph/op.h"
#include "kernels/exp.h"
#include "ops/attention_scales.h"
#include "ops/context_i8.h"
#include "ops/heads.h"
#include "ops/keys_i8.h"

namespace earbit {
namespace {

class RelativeAttentionI8 : public Op {
 public:
  enum Input { kContentQuery, kPositionQuery, kKey, kDistance, kValue, kInputs };

  RelativeAttentionI8(const std::vector<Type>& inputs, Attributes& attributes)
      : q_set_(inputs[kContentQuery].set),
        p_set_(inputs[kPositionQuery].set),
        type_(Type::floats(inputs[0].cols)),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        d_(head_dim_of(inputs, heads_)),
        content_(ScoreScales::read(attributes, "q_scale", "k_scale", q_set_, inputs[kKey].set, d_)),
        position_(
            ScoreScales::read(attributes, "p_scale", "r_scale", p_set_, inputs[kDistance].set, d_)),
        exp_(exp_kernels(chosen_isa())),
        context_(attributes, d_) {}

  const Type& type() const override { return type_; }

  Needs needs(size_t input) const override {
    return input == kContentQuery || input == kPositionQuery ? Needs::row() : Needs::all();
  }
  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return rows_of_attention(inputs, kDistance);
  }
  int n_column_groups() const override { return heads_; }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Heads<Head>>(
        heads_, inputs, [this](const std::vector<View>& in, int h) {
          return Head{KeysI8(in[kKey], q_set_, h, d_), KeysI8(in[kDistance], p_set_, h, d_),
                      context_.values_of(in[kValue], h)};
        });
  }

  void run_rows(const Block& block) const override {
    const Head& head = static_cast<const Heads<Head>&>(*block.state)[block.column_group];
    const int step = head.keys.kernel().rows;
    Buffers buffers(head, block.inputs[kKey].rows.end);
    for (int64_t i = block.rows.begin; i < block.rows.end; i += step) {
      attend(block, head, i, static_cast<int>(std::min<int64_t>(step, block.rows.end - i)),
             buffers);
    }
  }

 private:
  // Operands shared by all rows.
  struct Head {
    KeysI8 keys;
    KeysI8 distances;
    PanelsI8 values;
  };

  // Buffers for a few rows.
  struct Buffers {
    Buffers(const Head& head, int64_t n)
        : key_cols(head.keys.panels().padded_cols()),
          // Distances are read in whole panels, from the panel of the first.
          distance_cols(n + head.keys.kernel().rows + 2 * head.keys.kernel().cols),
          rows(head.values, n),
          scores(n) {
      const int n_rows = head.keys.kernel().rows;
      by_content.resize(static_cast<size_t>(n_rows) * key_cols);
      by_distance.resize(static_cast<size_t>(n_rows) * distance_cols);
    }

    int64_t key_cols;
    int64_t distance_cols;
    CodeRows rows;
    std::vector<int32_t> by_content;   // (rows, key_cols)
    std::vector<int32_t> by_distance;  // (rows, distance_cols)
    std::vector<float> scores;         // of one row
  };

  // Computes rows [first, first + n_rows) of one head, in its columns of y.
  void attend(const Block& block, const Head& head, int64_t first, int n_rows,
              Buffers& buffers) const {
    const int h = block.column_group;
    const int64_t n = block.inputs[kKey].rows.end;
    const GemmI8Kernel& kernel = head.keys.kernel();
    head.keys.panels().run(block.inputs[kContentQuery].codes_row(first) + h * d_, type_.cols,
                           n_rows, buffers.by_content.data());
    // The smallest row of r is that of the last row and the first key, the largest that of the
    // first row and the last key, 2 n - 2 - first.
    const int64_t base = (n - first - n_rows) / kernel.cols * kernel.cols;
    for (int64_t m = base; m < 2 * n - 1 - first; m += kernel.cols) {
      kernel.run(block.inputs[kPositionQuery].codes_row(first) + h * d_, type_.cols, n_rows,
                 head.distances.panels().panel(static_cast<int>(m / kernel.cols)), d_,
                 buffers.by_distance.data() + m - base, buffers.distance_cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int64_t nearest = n - 1 - first - i;  // the row of r that the first key reads
      const ScaledDots by_content{buffers.by_content.data() + i * buffers.key_cols,
                                  head.keys.offset(0), q_set_.step(), content_.left,
                                  content_.right};
      const ScaledDots by_distance{
          buffers.by_distance.data() + i * buffers.distance_cols + nearest - base,
          head.distances.offset(nearest), p_set_.step(), position_.left, position_.right};
      exp_.add_dots(by_content, by_distance, buffers.scores.data(), n);
      context_.softmax(buffers.scores.data(), n, buffers.rows, buffers.rows.row(i));
    }
    context_.write(head.values, buffers.rows, n_rows, 0, static_cast<int>(n), first, h, block.y);
  }

  CodeSet q_set_;
  CodeSet p_set_;
  Type type_;
  int heads_;
  int d_;
  ScoreScales content_;
  ScoreScales position_;
  const ExpKernels& exp_;
  ContextI8 context_;
};

}  // namespace

std::unique_ptr<Op> make_relative_attention_i8(const std::vector<Type>& inputs,
                                               Attributes& attributes) {
  expect_codes(inputs, RelativeAttentionI8::kInputs);
  return std::make_unique<RelativeAttentionI8>(inputs, attributes);
}

}  // namespace earbit
