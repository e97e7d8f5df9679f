// attention_b1: Q, K, V and the softmax probabilities are bits.
//
// Per head: count = popcount(q xor k), score = score_scale * (d - 2 count).  A probability becomes
// a bit by p > prob_half.  Counts take only d + 1 values, so exp is a table over (count - least
// count), and p > prob_half is one comparison of the count per row: no probability is ever stored.
// context = 2 popcount(p and v) - popcount(p), with V packed along time.
// With a radius only the 64-frame panels of keys that a row can see are touched.
#include <algorithm>
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_b1.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

// Bits (n_rows, words) of a head, turned: (n_cols, words_for(n_rows)).
std::vector<uint64_t> transposed(const uint64_t* bits, int64_t n_rows, int words, int n_cols) {
  const int64_t row_words = words_for(n_rows);
  std::vector<uint64_t> turned(static_cast<size_t>(n_cols) * row_words, 0);
  for (int64_t i = 0; i < n_rows; ++i) {
    for (int w = 0; w < words; ++w) {
      for (uint64_t left = bits[i * words + w]; left != 0; left &= left - 1) {
        const int64_t j = static_cast<int64_t>(w) * kWordBits + __builtin_ctzll(left);
        turned[j * row_words + i / kWordBits] |= uint64_t{1} << (i % kWordBits);
      }
    }
  }
  return turned;
}

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
    // Heads share words of the output when it is bits, so products are kept until a row is whole.
    const int width = in_.groups * d_;
    const std::unique_ptr<int32_t[]> dots(new int32_t[static_cast<size_t>(n) * width]);
    int32_t* dot = dots.get();
    parallel_for(in_.groups, 1, n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) run_head(inputs, h, dot + h * d_, width);
    });
    Value y = Value::make(type_, n);
    parallel_for(n, 64, n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int32_t* row = dot + i * width;
        if (!type_.is_bits) {
          lanes_.scale_i32(row, scale_.data(), zero_.data(), y.row(i), width);
          continue;
        }
        uint64_t* out = y.words.get() + i * type_.words();
        for (int j = 0; j < width; j += kWordBits) {
          out[j / kWordBits] =
              lanes_.at_least_i32(row + j, threshold_.data() + j, std::min(kWordBits, width - j));
        }
      }
    });
    return y;
  }

 private:
  void run_head(const std::vector<Value>& inputs, int h, int32_t* dot, int dot_stride) const {
    const int64_t n = inputs[0].rows;
    const int words = in_.words();
    const GemmB1Kernel& kernel = gemm_b1_kernel(chosen_isa());
    const PanelsB1 keys(kernel, inputs[1].group(h), words, static_cast<int>(n), words);
    const std::vector<uint64_t> v_turned = transposed(inputs[2].group(h), n, words, d_);
    const auto n_words = static_cast<int>(words_for(n));
    const PanelsB1 values(kernel, v_turned.data(), n_words, d_, n_words);

    std::vector<int32_t> counts(static_cast<size_t>(kernel.rows) * keys.padded_cols());
    std::vector<uint64_t> p(static_cast<size_t>(kernel.rows) * n_words, 0);
    std::vector<int32_t> ones(kernel.rows);
    std::vector<int32_t> context(static_cast<size_t>(kernel.rows) * values.padded_cols());
    for (int64_t first = 0; first < n; first += kernel.rows) {
      const int n_rows = static_cast<int>(std::min<int64_t>(kernel.rows, n - first));
      const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
      const int64_t high =
          radius_ < 0 ? n : std::min<int64_t>(n, first + n_rows + static_cast<int64_t>(radius_));
      for (int64_t j = low / kernel.cols; j * kernel.cols < high; ++j) {
        kernel.run(inputs[0].group(h) + first * words, words, n_rows,
                   keys.panel(static_cast<int>(j)), words, BitOp::exclusive_or,
                   counts.data() + j * kernel.cols, keys.padded_cols());
      }
      const int64_t low_word = low / kWordBits;
      const int64_t high_word = words_for(high);
      for (int i = 0; i < n_rows; ++i) {
        uint64_t* bits = p.data() + static_cast<ptrdiff_t>(i) * n_words;
        std::fill(bits + low_word, bits + high_word, uint64_t{0});
        const int64_t q = first + i;
        const int64_t from = radius_ < 0 ? 0 : std::max<int64_t>(0, q - radius_);
        const int64_t to = radius_ < 0 ? n : std::min<int64_t>(n, q + radius_ + int64_t{1});
        ones[i] = binarize_row(counts.data() + static_cast<ptrdiff_t>(i) * keys.padded_cols(), from,
                               to, bits);
      }
      const auto span = static_cast<int>(high_word - low_word);
      for (int j = 0; j < values.n_panels(); ++j) {
        kernel.run(p.data() + low_word, n_words, n_rows, values.panel(j) + low_word * kernel.cols,
                   span, BitOp::conjunction, context.data() + j * kernel.cols,
                   values.padded_cols());
      }
      for (int i = 0; i < n_rows; ++i) {
        const int32_t* from = context.data() + static_cast<ptrdiff_t>(i) * values.padded_cols();
        int32_t* out = dot + (first + i) * dot_stride;
        for (int j = 0; j < d_; ++j) out[j] = 2 * from[j] - ones[i];
      }
    }
  }

  // Sets the bits of the keys in [from, to) whose probability is above one half of the scale;
  // returns how many.
  int32_t binarize_row(const int32_t* count, int64_t from, int64_t to, uint64_t* bits) const {
    const int32_t least = *std::min_element(count + from, count + to);
    float sum = 0;
    for (int64_t j = from; j < to; ++j) sum += exp_[count[j] - least];
    // p = exp / sum falls with the count: find the largest count that still passes.
    int32_t limit = -1;
    while (limit + 1 <= d_ && exp_[limit + 1] / sum > prob_half_) ++limit;
    limit += least;
    int32_t ones = 0;
    for (int64_t j = from; j < to; ++j) {
      const uint64_t bit = count[j] <= limit;
      bits[j / kWordBits] |= bit << (j % kWordBits);
      ones += static_cast<int32_t>(bit);
    }
    return ones;
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
