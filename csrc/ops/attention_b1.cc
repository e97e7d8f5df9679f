// attention_b1: Q, K, V and the softmax probabilities are bits.
//
// Per head: count = popcount(q xor k), score = score_scale * (d - 2 count).  A probability becomes
// a bit by p > prob_half.  Counts take only d + 1 values, so exp is a table over (count - least
// count), and p > prob_half is one comparison of the count per row: no probability is ever stored.
// context = 2 popcount(p and v) - popcount(p), with V packed along time.
// With a radius only the words of 64 keys that a row can see are touched.
#include <algorithm>
#include <cmath>

#include "bits/transpose.h"
#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_b1.h"
#include "kernels/lanes.h"
#include "ops/pack_row.h"

namespace earbit {
namespace {

class AttentionB1 : public Op {
 public:
  AttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(attributes.integer("head_dim", 1, 1 << 16)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        prob_half_(attributes.number("prob_half")),
        lanes_(lane_kernels(chosen_isa())) {
    for (const Type& input : inputs) {
      if (input.groups != in_.groups || input.bits_per_group != d_) {
        throw std::invalid_argument(
            "q, k and v must have the same heads of head_dim=" + std::to_string(d_) + " bits");
      }
    }
    const float score_scale = attributes.number("score_scale");
    if (!(score_scale > 0) || !(prob_half_ > 0)) {
      throw std::invalid_argument("score_scale and prob_half must be above 0");
    }
    for (int count = 0; count <= d_; ++count) {
      exp_.push_back(std::exp(-2.0f * score_scale * static_cast<float>(count)));
    }
    const int width = in_.groups * d_;
    if (attributes.has_tensor("threshold")) {
      threshold_ = attributes.i32("threshold", {width});
      type_ = Type::bits(1, width);
    } else {
      scale_.assign(width, attributes.number("scale"));
      type_ = Type::floats(width);
    }
    zero_.assign(width, 0.0f);
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, int n_threads) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    std::vector<std::unique_ptr<Head>> heads(in_.groups);
    parallel_for(in_.groups, 1, n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) heads[h] = head(inputs, h);
    });
    Value y = Value::make(type_, n);
    // All heads of a row together: heads share words of the output when it is bits.
    parallel_for(n, kBlockRows, n_threads, [&](int64_t begin, int64_t end) {
      const GemmB1Kernel& kernel = heads[0]->keys.kernel();
      Block block(*this, n, kernel.rows, heads[0]->values.padded_cols());
      for (int64_t first = begin; first < end; first += kernel.rows) {
        const int n_rows = static_cast<int>(std::min<int64_t>(kernel.rows, end - first));
        for (int h = 0; h < in_.groups; ++h) {
          attend(inputs[0].group(h), *heads[h], first, n_rows, n, block, h * d_);
        }
        for (int i = 0; i < n_rows; ++i) write(block.dot.data() + i * width(), first + i, y);
      }
    });
    return y;
  }

 private:
  static constexpr int64_t kBlockRows = 48;

  // The operands that all rows share: keys as weights of q, values as weights of p.
  struct Head {
    PanelsB1 keys;
    PanelsB1 values;
  };

  // What a few rows need while they are computed: no more keys than they can see.
  struct Block {
    Block(const AttentionB1& op, int64_t n, int n_rows, int value_cols) {
      n_keys = words_for(n) * kWordBits;
      if (op.radius_ >= 0) {
        // A word more at each side, as keys are read in whole words.
        const int64_t seen = 2 * int64_t{op.radius_} + n_rows;
        n_keys = std::min(n_keys, (words_for(seen) + 1) * kWordBits);
      }
      counts.resize(static_cast<size_t>(n_rows) * n_keys);
      p.resize(counts.size() / kWordBits);
      ones.resize(n_rows);
      context.resize(static_cast<size_t>(n_rows) * value_cols);
      dot.resize(static_cast<size_t>(n_rows) * op.width());
    }

    int64_t n_keys;
    std::vector<int32_t> counts;   // (rows, n_keys)
    std::vector<uint64_t> p;       // (rows, n_keys / 64)
    std::vector<int32_t> ones;     // of p
    std::vector<int32_t> context;  // (rows, columns of value panels)
    std::vector<int32_t> dot;      // (rows, heads * d)
  };

  int width() const { return in_.groups * d_; }

  std::unique_ptr<Head> head(const std::vector<Value>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[0].rows);
    const auto n_words = static_cast<int>(words_for(n));
    const GemmB1Kernel& kernel = gemm_b1_kernel(chosen_isa());
    const std::vector<uint64_t> turned = transposed(inputs[2].group(h), n, in_.words(), d_);
    return std::make_unique<Head>(
        Head{PanelsB1(kernel, inputs[1].group(h), in_.words(), n, in_.words()),
             PanelsB1(kernel, turned.data(), n_words, d_, n_words)});
  }

  // Rows [first, first + n_rows) of one head, into columns from `column` on of block.dot.
  void attend(const uint64_t* q, const Head& head, int64_t first, int n_rows, int64_t n,
              Block& block, int column) const {
    const GemmB1Kernel& kernel = head.keys.kernel();
    const int words = in_.words();
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min(n, first + n_rows + radius_);
    // Keys are counted from a word border on.
    const int64_t base = low / kWordBits * kWordBits;
    const auto span = static_cast<int>(words_for(high - base));
    const int64_t p_stride = block.n_keys / kWordBits;
    const ShareTable table{exp_.data(), static_cast<int>(exp_.size()), prob_half_};
    for (int64_t j = base; j < high; j += kernel.cols) {
      kernel.run(q + first * words, words, n_rows,
                 head.keys.panel(static_cast<int>(j / kernel.cols)), words, BitOp::exclusive_or,
                 block.counts.data() + j - base, block.n_keys);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      const int64_t from = radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_);
      const int64_t to = radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1);
      uint64_t* bits = block.p.data() + i * p_stride;
      std::fill_n(bits, span, uint64_t{0});
      block.ones[i] = lanes_.softmax_bits(table, block.counts.data() + i * block.n_keys,
                                          from - base, to - base, bits);
    }
    const int cols = head.values.padded_cols();
    for (int j = 0; j < head.values.n_panels(); ++j) {
      kernel.run(block.p.data(), p_stride, n_rows, head.values.panel(j, base / kWordBits), span,
                 BitOp::conjunction, block.context.data() + j * kernel.cols, cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* context = block.context.data() + i * cols;
      int32_t* dot = block.dot.data() + i * width() + column;
      for (int j = 0; j < d_; ++j) dot[j] = 2 * context[j] - block.ones[i];
    }
  }

  void write(const int32_t* dot, int64_t row, Value& y) const {
    if (!type_.is_bits) {
      lanes_.scale_i32(dot, scale_.data(), zero_.data(), y.row(row), width());
      return;
    }
    pack_row(lanes_.at_least_i32, dot, threshold_.data(), row, y);
  }

  Type in_;
  int d_;
  int radius_;
  float prob_half_;
  const LaneKernels& lanes_;
  std::vector<float> exp_;  // exp(-2 score_scale k)
  std::vector<float> scale_;
  std::vector<float> zero_;
  std::vector<int32_t> threshold_;
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_attention_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_bits(inputs, 3);
  return std::make_unique<AttentionB1>(inputs, attributes);
}

}  // namespace earbit
