// attention_b1: Q, K, V and the softmax probabilities are bits.
//
// Per head: count = popcount(q xor k), score = score_scale * (d - 2 count).  A probability becomes
// a bit by p > prob_half (kernels/softmax_b1.h): no probability is ever stored.
// context = 2 popcount(p and v) - popcount(p), with V packed along time.
// With a radius only the words of 64 keys that a row can see are touched.
#include <algorithm>
#include <cmath>

#include "bits/transpose.h"
#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_b1.h"
#include "kernels/lanes.h"
#include "kernels/softmax_b1.h"
#include "ops/thresholds.h"

namespace earbit {
namespace {

class AttentionB1 : public Op {
 public:
  AttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(attributes.integer("head_dim", 1, 1 << 15)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        prob_half_(attributes.number("prob_half")),
        lanes_(lane_kernels(chosen_isa())),
        softmax_(softmax_b1_kernel(chosen_isa())) {
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
    // A sum is 1 at least: what is below this changes none, and no share of it is above the limit.
    const float least = std::min(0x1p-40f, prob_half_);
    for (int count = 0; count <= d_; ++count) {
      const float share = std::exp(-2.0f * score_scale * static_cast<float>(count));
      if (count > 0 && share < least) break;
      exp_.push_back(share);
    }
    exp_.push_back(0);
    const int width = in_.groups * d_;
    if (attributes.has_tensor("threshold")) {
      threshold_ = thresholds_of(attributes, width);
      type_ = Type::bits(1, width);
    } else {
      scale_.assign(width, attributes.number("scale"));
      type_ = Type::floats(width);
    }
    zero_.assign(width, 0.0f);
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    std::vector<std::unique_ptr<Head>> heads(in_.groups);
    parallel_for(in_.groups, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) heads[h] = head(inputs, h);
    });
    Value y = work.make(type_, n);
    // All heads of a row together: heads share words of the output when it is bits.
    parallel_for(n, kBlockRows, work.n_threads, [&](int64_t begin, int64_t end) {
      const int step = std::min(heads[0]->values.kernel().rows, QueriesB1::kMax);
      Block block(*this, n, step);
      if (type_.kind == Kind::bits) {
        std::fill_n(y.group(0) + begin * type_.words(), (end - begin) * type_.words(), uint64_t{0});
      }
      for (int64_t first = begin; first < end; first += step) {
        const int n_rows = static_cast<int>(std::min<int64_t>(step, end - first));
        for (int h = 0; h < in_.groups; ++h) {
          attend(inputs[0].group(h), *heads[h], first, n_rows, n, block, h * d_, y);
        }
      }
    });
    return y;
  }

 private:
  static constexpr int64_t kBlockRows = 48;

  // The operands that all rows share: keys, and values as weights of p.
  struct Head {
    KeysB1 keys;
    PanelsB1 values;
  };

  // What a few rows need while they are computed: no more keys than they can see.
  struct Block {
    Block(const AttentionB1& op, int64_t n, int n_rows) {
      p_words = words_for(n);
      if (op.radius_ >= 0) {
        // A word more at each side, as keys are read in whole words.
        p_words = std::min(p_words, words_for(2 * int64_t{op.radius_} + n_rows) + 1);
      }
      counts.resize(n_rows * p_words * kWordBits);
      p.resize(n_rows * p_words);
      offsets.resize(n_rows);
      packed.resize(n_rows);
    }

    int64_t p_words;
    std::vector<uint16_t> counts;  // (rows, keys)
    std::vector<uint64_t> p;       // (rows, p_words)
    std::vector<int32_t> offsets;  // (rows,): ones of p, then minus them
    std::vector<uint64_t> packed;  // (rows,)
    std::vector<int32_t> context;  // (rows, columns of a panel of values)
  };

  int width() const { return in_.groups * d_; }

  std::unique_ptr<Head> head(const std::vector<Value>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[0].rows);
    const auto n_words = static_cast<int>(words_for(n));
    std::vector<uint64_t> turned(static_cast<size_t>(d_) * n_words);
    for (int block = 0; block < n_words; ++block) {
      transpose_rows(inputs[2].group(h), n, d_, block, turned.data() + block, n_words);
    }
    return std::make_unique<Head>(
        Head{KeysB1(inputs[1].group(h), n, in_.words()),
             PanelsB1(gemm_b1_kernel(chosen_isa()), turned.data(), n_words, d_, n_words)});
  }

  // Rows [first, first + n_rows) of one head, into columns from `column` on of y.
  void attend(const uint64_t* q, const Head& head, int64_t first, int n_rows, int64_t n,
              Block& block, int column, Value& y) const {
    const int words = in_.words();
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min(n, first + n_rows + radius_);
    // Keys are counted from a word border on.
    const int64_t base = low / kWordBits * kWordBits;
    const auto span = static_cast<int>(words_for(high - base));
    const ShareTable table{exp_.data(), static_cast<int>(exp_.size()) - 1, prob_half_};
    QueriesB1 queries{q + first * words, n_rows, words, {}, {}};
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      queries.from[i] = radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_) - base;
      queries.to[i] = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      std::fill_n(block.p.data() + i * block.p_words, span, uint64_t{0});
    }
    softmax_.run(table, queries, head.keys.block(base), block.counts.data(), block.p.data(),
                 block.p_words, block.offsets.data());
    for (int32_t& n_ones : block.offsets) n_ones = -n_ones;
    const GemmB1Kernel& kernel = head.values.kernel();
    block.context.resize(static_cast<size_t>(kernel.rows) * kernel.cols);
    for (int p = 0; p < head.values.n_panels(); ++p) {
      kernel.run(block.p.data(), block.p_words, n_rows, head.values.panel(p, base / kWordBits),
                 span, BitOp::conjunction, block.context.data(), kernel.cols);
      const int n_cols = std::min(kernel.cols, d_ - p * kernel.cols);
      const DotTile tile{block.context.data(), kernel.cols, n_rows, n_cols, false,
                         block.offsets.data()};
      write(tile, first, column + p * kernel.cols, block.packed, y);
    }
  }

  void write(const DotTile& tile, int64_t row, int column, std::vector<uint64_t>& packed,
             Value& y) const {
    if (type_.kind != Kind::bits) {
      lanes_.scale_dots(tile, scale_.data() + column, zero_.data() + column, y.row(row) + column,
                        type_.cols);
      return;
    }
    lanes_.pack_dots(tile, threshold_.data() + column, packed.data());
    const int shift = column % kWordBits;
    for (int i = 0; i < tile.n_rows; ++i) {
      uint64_t* out = y.group(0) + (row + i) * type_.words() + column / kWordBits;
      out[0] |= packed[i] << shift;
      // Heads need not end where words do.
      if (shift + tile.n_cols > kWordBits) out[1] |= packed[i] >> (kWordBits - shift);
    }
  }

  Type in_;
  int d_;
  int radius_;
  float prob_half_;
  const LaneKernels& lanes_;
  const SoftmaxB1Kernel& softmax_;
  std::vector<float> exp_;  // exp(-2 score_scale k), as far as it counts, and 0
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
