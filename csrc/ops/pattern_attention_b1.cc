// fixed_attention_b1, strided_attention_b1: Q, K, V and the probabilities are bits; every query
// sees the near and far frames of a pattern (patterns.h).
//
// Near and far products have scales of their own: score = scale * dot, a probability is 1 where
// p > half, and y = near_scale * near dot + far_scale * far dot.  Keys and values of a class of far
// frames are laid out once, side by side, so that both parts are products over whole words.
#include <algorithm>

#include "bits/transpose.h"
#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_b1.h"
#include "kernels/lanes.h"
#include "ops/attention_scales.h"
#include "ops/head_bits.h"
#include "ops/near_and_far.h"
#include "ops/patterns.h"

namespace earbit {
namespace {

template <typename Pattern>
class PatternAttentionB1 : public Op {
 public:
  PatternAttentionB1(const std::vector<Type>& inputs, Attributes& attributes)
      : in_(inputs[0]),
        d_(head_dim_of_bits(inputs, attributes)),
        heads_(PatternHeads::read(attributes, inputs[0].groups)),
        pattern_(Pattern::read(attributes)),
        near_(Scales::read(attributes, "near_", d_)),
        far_(Scales::read(attributes, "far_", d_)),
        lanes_(lane_kernels(chosen_isa())),
        exp_(exp_kernels(chosen_isa())) {
    type_ = Type::floats(in_.groups * d_);
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    expect_as_many_frames(inputs);
    Value y = work.make(type_, inputs[0].rows);
    parallel_for(in_.groups, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) run_head(inputs, h, y);
    });
    return y;
  }

 private:
  struct Scales {
    float score;
    float prob_half;
    float context;

    static Scales read(Attributes& attributes, const std::string& prefix, int d) {
      return {score_scale_of(attributes, prefix + "score_scale", d),
              share_of(attributes, prefix + "prob_half"), attributes.number(prefix + "scale")};
    }
  };

  // Keys and values of some frames, as weights.
  struct Frames {
    int64_t n;
    PanelsB1 keys;
    PanelsB1 values;
  };

  // What one part of a row needs while it is computed.
  struct Part {
    std::vector<int32_t> counts;
    std::vector<float> scores;
    std::vector<uint64_t> p;
    std::vector<int32_t> context;
  };

  Frames frames_of(const std::vector<Value>& inputs, int h, const FrameList& frames) const {
    const int words = in_.words();
    const auto n = static_cast<int>(frames.size());
    const auto n_words = static_cast<int>(words_for(n));
    std::vector<uint64_t> k(static_cast<size_t>(n) * words);
    std::vector<uint64_t> v(k.size());
    for (int m = 0; m < n; ++m) {
      std::copy_n(inputs[1].group(h) + frames[m] * words, words, k.data() + m * words);
      std::copy_n(inputs[2].group(h) + frames[m] * words, words, v.data() + m * words);
    }
    const std::vector<uint64_t> turned = transposed(v.data(), n, d_);
    const GemmB1Kernel& kernel = gemm_b1_kernel(chosen_isa());
    return {n, PanelsB1(kernel, k.data(), words, n, words),
            PanelsB1(kernel, turned.data(), n_words, d_, n_words)};
  }

  void run_head(const std::vector<Value>& inputs, int h, Value& y) const {
    const int64_t n = inputs[0].rows;
    const Frames all = frames_of(inputs, h, every_frame(heads_.sees_near(h) ? n : 0));
    Part near;
    Part far;
    for (int64_t c = 0; c < pattern_.n_classes(n); ++c) {
      const Frames some =
          frames_of(inputs, h, heads_.sees_far(h) ? pattern_.far(c, n) : FrameList());
      for (int64_t i = c; i < n; i += pattern_.step()) {
        const uint64_t* q = inputs[0].group(h) + i * in_.words();
        const Interval seen = heads_.sees_near(h) ? pattern_.near(i, n) : Interval{0, 0};
        // Near frames are counted from a word border on.
        const int64_t base = seen.from / kWordBits * kWordBits;
        score(q, all, base, seen.to, near_.score, near);
        std::fill_n(near.scores.begin(), seen.from - base, kHidden);
        score(q, some, 0, some.n, far_.score, far);
        if (heads_.sees_near(h)) {
          const Interval shared = pattern_.shared(i, some.n);
          std::fill(far.scores.begin() + shared.from, far.scores.begin() + shared.to, kHidden);
        }
        const float sum =
            exp_of_parts(exp_, near.scores.data(), static_cast<int64_t>(near.scores.size()),
                         far.scores.data(), static_cast<int64_t>(far.scores.size()));
        attend(all, base, near_, sum, near);
        attend(some, 0, far_, sum, far);
        float* out = y.row(i) + h * d_;
        for (int j = 0; j < d_; ++j) {
          out[j] = near_.context * static_cast<float>(near.context[j]) +
                   far_.context * static_cast<float>(far.context[j]);
        }
      }
    }
  }

  // Scores of one query with frames [base, end), base at a word border.
  void score(const uint64_t* q, const Frames& frames, int64_t base, int64_t end, float scale,
             Part& part) const {
    const GemmB1Kernel& kernel = frames.keys.kernel();
    part.counts.resize(static_cast<size_t>(words_for(end - base) * kWordBits));
    part.scores.resize(static_cast<size_t>(end - base));
    for (int64_t j = base; j < end; j += kernel.cols) {
      kernel.run(q, in_.words(), 1, frames.keys.panel(static_cast<int>(j / kernel.cols)),
                 in_.words(), BitOp::exclusive_or, part.counts.data() + j - base, kernel.cols);
    }
    for (size_t j = 0; j < part.scores.size(); ++j) {
      part.scores[j] = scale * static_cast<float>(d_ - 2 * part.counts[j]);
    }
  }

  // The product of one row's probabilities, as bits, with the values of its frames.
  void attend(const Frames& frames, int64_t base, const Scales& scales, float sum,
              Part& part) const {
    const auto n = static_cast<int64_t>(part.scores.size());
    const int64_t n_words = words_for(n);
    part.p.resize(static_cast<size_t>(n_words));
    const auto ones = static_cast<int32_t>(lanes_.not_below(
        part.scores.data(), least_above(scales.prob_half * sum), n, part.p.data()));
    const GemmB1Kernel& kernel = frames.values.kernel();
    part.context.resize(frames.values.padded_cols());
    for (int j = 0; j < frames.values.n_panels(); ++j) {
      kernel.run(part.p.data(), n_words, 1, frames.values.panel(j, base / kWordBits),
                 static_cast<int>(n_words), BitOp::conjunction,
                 part.context.data() + j * kernel.cols, kernel.cols);
    }
    for (int32_t& dot : part.context) dot = 2 * dot - ones;
  }

  Type in_;
  int d_;
  PatternHeads heads_;
  Pattern pattern_;
  Scales near_;
  Scales far_;
  const LaneKernels& lanes_;
  const ExpKernels& exp_;
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_fixed_attention_b1(const std::vector<Type>& inputs,
                                            Attributes& attributes) {
  expect_bits(inputs, 3);
  return std::make_unique<PatternAttentionB1<FixedPattern>>(inputs, attributes);
}

std::unique_ptr<Op> make_strided_attention_b1(const std::vector<Type>& inputs,
                                              Attributes& attributes) {
  expect_bits(inputs, 3);
  return std::make_unique<PatternAttentionB1<StridedPattern>>(inputs, attributes);
}

}  // namespace earbit
