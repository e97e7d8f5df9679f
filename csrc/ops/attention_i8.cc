// attention_i8: Q, K and V are codes of 1 to 8 bits each, probabilities become unsigned codes.
//
// Per head: dot = q . k on codes, p = softmax((q_scale * k_scale) * dot) in float, its code
// min(round(p / prob_scale), 2^prob_bits - 1), context = (codes . v) * prob_scale * v_scale.
// A few rows at a time, and with a radius only the keys that they can see.  Integers are exact, and
// floats are summed in an order that nothing changes.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/exp.h"
#include "kernels/gemm_i8.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

constexpr int64_t kBlockRows = 48;
// The codes of a row sum up to at most 2 / prob_scale, as p < prob_scale / 2 is 0: so int32 holds
// their product with any values, however many keys there are.
constexpr float kMinProbScale = 1e-6f;
constexpr int kMaxHeadDim = 1 << 15;  // the difference of two scores is an int32

// Values of the codes of one head: (n, d).
std::vector<int8_t> values_of(const Value& x, int first_col, int d) {
  std::vector<int8_t> values(static_cast<size_t>(x.rows) * d);
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int j = 0; j < d; ++j) {
      values[i * d + j] = static_cast<int8_t>(x.type.set.value(x.codes_row(i)[first_col + j]));
    }
  }
  return values;
}

std::vector<int8_t> transposed(const std::vector<int8_t>& x, int64_t n, int d) {
  std::vector<int8_t> turned(x.size());
  for (int64_t i = 0; i < n; ++i) {
    for (int j = 0; j < d; ++j) turned[j * n + i] = x[i * d + j];
  }
  return turned;
}

class AttentionI8 : public Op {
 public:
  AttentionI8(const std::vector<Type>& inputs, Attributes& attributes)
      : q_set_(inputs[0].set),
        type_(Type::floats(inputs[0].cols)),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        prob_set_{attributes.integer("prob_bits", 1, kMaxCodeBits), true},
        score_scale_(attributes.number("q_scale") * attributes.number("k_scale")),
        prob_scale_(attributes.number("prob_scale")),
        v_scale_(attributes.number("v_scale")),
        exp_(exp_kernels(chosen_isa())),
        lanes_(lane_kernels(chosen_isa())) {
    for (const Type& input : inputs) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument("q, k and v must have the same width, a multiple of heads=" +
                                    std::to_string(heads_));
      }
      if (input.set.is_unsigned) throw std::invalid_argument("q, k and v must be signed codes");
    }
    d_ = type_.cols / heads_;
    if (d_ > kMaxHeadDim) {
      throw std::invalid_argument("heads of " + std::to_string(d_) + " columns; at most " +
                                  std::to_string(kMaxHeadDim) + " are allowed");
    }
    if (!(score_scale_ > 0) || !(v_scale_ > 0) || !(prob_scale_ >= kMinProbScale)) {
      throw std::invalid_argument(
          "q_scale, k_scale and v_scale must be above 0 and prob_scale at least 1e-6");
    }
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    std::vector<std::unique_ptr<Head>> heads(heads_);
    parallel_for(heads_, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) heads[h] = head(inputs, h);
    });
    Value y = work.make(type_, n);
    const int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
    parallel_for(heads_ * n_blocks, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      const GemmI8Kernel& kernel = heads[0]->keys.kernel();
      Block block(*this, n, kernel, heads[0]->values.padded_cols());
      for (int64_t task = begin; task < end; ++task) {
        const auto h = static_cast<int>(task / n_blocks);
        const int64_t last = std::min(n, (task % n_blocks + 1) * kBlockRows);
        for (int64_t i = task % n_blocks * kBlockRows; i < last; i += kernel.rows) {
          const int n_rows = static_cast<int>(std::min<int64_t>(kernel.rows, last - i));
          attend(inputs[0], h, *heads[h], i, n_rows, block, y);
        }
      }
    });
    return y;
  }

 private:
  // The operands that all rows share: keys as weights of q, values as weights of p.
  struct Head {
    PanelsI8 keys;
    PanelsI8 values;
    std::vector<int32_t> offset;  // of every key's score, since q is stored from 0 on
  };

  // What a few rows need while they are computed: no more keys than they can see.
  struct Block {
    Block(const AttentionI8& op, int64_t n, const GemmI8Kernel& kernel, int value_cols) {
      n_keys = n;
      if (op.radius_ >= 0) n_keys = std::min(n, 2 * int64_t{op.radius_} + kernel.rows);
      // A panel more at the left, as keys are read in whole panels, and the rest of the last.
      n_keys = (n_keys + 2 * kernel.cols - 1) / kernel.cols * kernel.cols + kernel.cols;
      dots.resize(static_cast<size_t>(kernel.rows) * n_keys);
      codes.resize(static_cast<size_t>(kernel.rows) * n_keys);
      p.resize(n_keys);
      no_shift.resize(n_keys);
      context.resize(static_cast<size_t>(kernel.rows) * value_cols);
    }

    int64_t n_keys;
    std::vector<int32_t> dots;     // (rows, n_keys)
    std::vector<uint8_t> codes;    // (rows, n_keys)
    std::vector<float> p;          // of one row
    std::vector<float> no_shift;   // zeros
    std::vector<int32_t> context;  // (rows, columns of value panels)
  };

  std::unique_ptr<Head> head(const std::vector<Value>& inputs, int h) const {
    const auto n = static_cast<int>(inputs[0].rows);
    const GemmI8Kernel& kernel = gemm_i8_kernel(chosen_isa());
    const std::vector<int8_t> k = values_of(inputs[1], h * d_, d_);
    const std::vector<int8_t> v = transposed(values_of(inputs[2], h * d_, d_), n, d_);
    std::vector<int32_t> offset(n);
    for (int j = 0; j < n; ++j) {
      for (int c = 0; c < d_; ++c) offset[j] += q_set_.low() * k[static_cast<size_t>(j) * d_ + c];
    }
    return std::make_unique<Head>(Head{PanelsI8(kernel, k.data(), d_, n, d_),
                                       PanelsI8(kernel, v.data(), n, d_, n), std::move(offset)});
  }

  // Rows [first, first + n_rows) of one head.
  void attend(const Value& q, int h, const Head& head, int64_t first, int n_rows, Block& block,
              Value& y) const {
    const GemmI8Kernel& kernel = head.keys.kernel();
    const int64_t n = q.rows;
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min<int64_t>(n, first + n_rows + int64_t{radius_});
    // Keys are counted from the border of a panel on, which is a multiple of four too.
    const int64_t base = low / kernel.cols * kernel.cols;
    for (int64_t j = base; j < high; j += kernel.cols) {
      kernel.run(q.codes_row(first) + h * d_, type_.cols, n_rows,
                 head.keys.panel(static_cast<int>(j / kernel.cols)), d_,
                 block.dots.data() + j - base, block.n_keys);
    }
    const auto span = static_cast<int>(high - base);
    for (int i = 0; i < n_rows; ++i) {
      const int64_t row = first + i;
      const int64_t from = (radius_ < 0 ? 0 : std::max<int64_t>(0, row - radius_)) - base;
      const int64_t to = (radius_ < 0 ? n : std::min<int64_t>(n, row + radius_ + 1)) - base;
      int32_t* dots = block.dots.data() + i * block.n_keys;
      for (int64_t j = from; j < to; ++j) {
        dots[j] = q_set_.step() * dots[j] + head.offset[base + j];
      }
      uint8_t* codes = block.codes.data() + i * block.n_keys;
      std::fill(codes, codes + from, uint8_t{0});
      softmax_codes(dots + from, to - from, block, codes + from);
      std::fill(codes + to, codes + span, uint8_t{0});
    }
    const int cols = head.values.padded_cols();
    for (int p = 0; p < head.values.n_panels(); ++p) {
      kernel.run(block.codes.data(), block.n_keys, n_rows, head.values.panel(p, base), span,
                 block.context.data() + p * kernel.cols, cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* context = block.context.data() + i * cols;
      float* out = y.row(first + i) + h * d_;
      // Two products, as in training: the product of the two scales would be rounded.
      for (int j = 0; j < d_; ++j) out[j] = static_cast<float>(context[j]) * prob_scale_ * v_scale_;
    }
  }

  // Codes of the probabilities of n > 0 keys.
  void softmax_codes(const int32_t* dots, int64_t n, Block& block, uint8_t* codes) const {
    float* p = block.p.data();
    for (int64_t j = 0; j < n; ++j) p[j] = score_scale_ * static_cast<float>(dots[j]);
    const float sum = exp_.exp_below(p, exp_.most(p, n), n);
    for (int64_t j = 0; j < n; ++j) p[j] /= sum;
    lanes_.quantize(p, block.no_shift.data(), 1.0f, prob_scale_, 0, prob_set_.largest(), codes, n);
  }

  CodeSet q_set_;
  Type type_;
  int heads_;
  int radius_;
  CodeSet prob_set_;
  float score_scale_;
  float prob_scale_;
  float v_scale_;
  const ExpKernels& exp_;
  const LaneKernels& lanes_;
  int d_ = 0;
};

}  // namespace

std::unique_ptr<Op> make_attention_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(inputs, 3);
  return std::make_unique<AttentionI8>(inputs, attributes);
}

}  // namespace earbit
