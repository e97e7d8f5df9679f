// fixed_attention_i8, strided_attention_i8: Q, K and V are codes of 1 to 8 bits each, probabilities
// become unsigned codes; every query sees the near and far frames of a pattern (patterns.h).
//
// Near and far products read codes of their own: score = dot * q_scale * k_scale, one softmax over
// both parts, codes min(round(p / prob_scale), 2^prob_bits - 1) of each, context = near codes . v
// and far codes . v, each times prob_scale * v_scale.  Three passes per head, over all rows or some
// at a time where many frames are near: near scores, a few neighbours at a time; far scores,
// softmax and far context, a few queries of a class at a time; near context.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_i8.h"
#include "ops/attention_scales.h"
#include "ops/context_i8.h"
#include "ops/keys_i8.h"
#include "ops/near_and_far.h"
#include "ops/patterns.h"

namespace earbit {
namespace {

// What the two products of a part multiply: the part's q, k and v are three inputs from `first` on.
struct PatternPart {
  size_t first;
  CodeSet q_set;
  ScoreScales scale;
  ContextI8 context;

  static PatternPart read(Attributes& attributes, const std::string& prefix,
                          const std::vector<Type>& inputs, size_t first, int d) {
    const CodeSet& q_set = inputs[first].set;
    return {first, q_set,
            ScoreScales::read(attributes, prefix + "q_scale", prefix + "k_scale", q_set,
                              inputs[first + 1].set, d),
            ContextI8(attributes, d, prefix)};
  }

  // Sums of the codes of a query, and what is added to them, as scores.
  ScaledDots scores(const int32_t* sums, const int32_t* offset) const {
    return {sums, offset, q_set.step(), scale.left, scale.right};
  }
};

template <typename Pattern>
class PatternAttentionI8 : public Op {
 public:
  PatternAttentionI8(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(Type::floats(inputs[0].cols)),
        n_heads_(attributes.integer("heads", 1, 1 << 16)),
        heads_(PatternHeads::read(attributes, n_heads_)),
        pattern_(Pattern::read(attributes)),
        d_(head_dim_of(inputs, n_heads_)),
        near_(PatternPart::read(attributes, "near_", inputs, 0, d_)),
        far_(PatternPart::read(attributes, "far_", inputs, 3, d_)),
        kernel_(gemm_i8_kernel(chosen_isa())),
        exp_(exp_kernels(chosen_isa())) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    expect_as_many_frames(inputs);
    Value y = work.make(type_, inputs[0].rows);
    parallel_for(n_heads_, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (auto h = static_cast<int>(begin); h < end; ++h) run_head(inputs, h, work.n_threads, y);
    });
    return y;
  }

 private:
  // Some frames of one head: keys as weights of q, values as weights of probabilities.
  struct Frames {
    KeysI8 keys;
    PanelsI8 values;
  };

  // Neighbours whose near frames are computed together, and the frames that any of them sees,
  // counted from a multiple of four on, where panels of values can start.
  struct Neighbours {
    int64_t first;
    int n_rows;
    int64_t base;
    int64_t high;
  };

  // Of some rows the scores of their near frames, later exp of them, and codes, from their base on.
  struct Near {
    int64_t width;
    Interval rows;
    std::vector<float> scores;
    std::vector<uint8_t> codes;

    int64_t place(int64_t i) const { return (i - rows.from) * width; }
  };

  void run_head(const std::vector<Value>& inputs, int h, int n_threads, Value& y) const {
    const int64_t n = inputs[0].rows;
    const bool sees_near = heads_.sees_near(h);
    const Frames all = frames_of(inputs, near_, h, every_frame(sees_near ? n : 0));
    Near near{sees_near ? near_width(n) : 0, {0, n}, {}, {}};
    const int64_t step = rows_at_once(n, near.width, n_heads_, n_threads);
    for (int64_t i = 0; i < n; i += step) {
      near.rows = {i, std::min(n, i + step)};
      if (sees_near) near_scores(inputs, h, all, near);
      for (int64_t c = 0; c < pattern_.n_classes(n); ++c) far_part(inputs, h, c, near, y);
      if (sees_near) add_near_part(near, h, all, y);
    }
  }

  Frames frames_of(const std::vector<Value>& inputs, const PatternPart& part, int h,
                   const FrameList& frames) const {
    return {KeysI8(inputs[part.first + 1], frames, part.q_set, h, d_),
            value_panels(inputs[part.first + 2], frames, h, d_)};
  }

  // The neighbours among some rows of n that row i is one of.
  Neighbours neighbours(int64_t i, const Interval& rows, int64_t n) const {
    const int64_t block = i / pattern_.block_rows() * pattern_.block_rows();
    const int64_t start = std::max(block, rows.from);
    const int64_t first = i - (i - start) % kernel_.rows;
    const int64_t last = std::min({rows.to, first + kernel_.rows, block + pattern_.block_rows()});
    return {first, static_cast<int>(last - first),
            pattern_.near(first, n).from / kPanelStepI8 * kPanelStepI8,
            pattern_.near(last - 1, n).to};
  }

  // Most frames that neighbours see.
  int64_t near_width(int64_t n) const {
    int64_t width = 0;
    for (int64_t i = 0; i < n;) {
      const Neighbours some = neighbours(i, {0, n}, n);
      width = std::max(width, some.high - some.base);
      i += some.n_rows;
    }
    return width;
  }

  void near_scores(const std::vector<Value>& inputs, int h, const Frames& all, Near& near) const {
    const int64_t n = inputs[0].rows;
    near.scores.resize(static_cast<size_t>(near.place(near.rows.to)));
    near.codes.assign(near.scores.size(), 0);
    // Keys are read in whole panels.
    const int64_t dots_width = near.width + 2 * int64_t{kernel_.cols};
    std::vector<int32_t> dots(static_cast<size_t>(kernel_.rows * dots_width));
    for (int64_t i = near.rows.from; i < near.rows.to;) {
      const Neighbours some = neighbours(i, near.rows, n);
      const int64_t border = some.base / kernel_.cols * kernel_.cols;
      for (int64_t j = border; j < some.high; j += kernel_.cols) {
        kernel_.run(inputs[near_.first].codes_row(some.first) + h * d_, type_.cols, some.n_rows,
                    all.keys.panels().panel(static_cast<int>(j / kernel_.cols)), d_,
                    dots.data() + j - border, dots_width);
      }
      for (int r = 0; r < some.n_rows; ++r, ++i) {
        const Interval seen = pattern_.near(i, n);
        exp_.scores(near_.scores(dots.data() + r * dots_width + seen.from - border,
                                 all.keys.offset(seen.from)),
                    near.scores.data() + near.place(i) + seen.from - some.base,
                    seen.to - seen.from);
      }
    }
  }

  // Of the rows of a class the far scores, the softmax, the codes of near frames, and the far part
  // of y.
  void far_part(const std::vector<Value>& inputs, int h, int64_t c, Near& near, Value& y) const {
    const int64_t n = inputs[0].rows;
    const Interval places = places_of(near.rows, c, pattern_.step());
    if (places.from >= places.to) return;
    const Frames some =
        frames_of(inputs, far_, h, heads_.sees_far(h) ? pattern_.far(c, n) : FrameList());
    const int64_t n_far = some.keys.n();
    const int64_t dots_width = some.keys.panels().padded_cols();
    const int64_t context_width = some.values.padded_cols();
    std::vector<int32_t> dots(static_cast<size_t>(kernel_.rows * dots_width));
    std::vector<float> scores(static_cast<size_t>(n_far));
    std::vector<uint8_t> codes(static_cast<size_t>(kernel_.rows * n_far));
    std::vector<int32_t> context(static_cast<size_t>(kernel_.rows * context_width));
    const std::vector<float> no_shift(static_cast<size_t>(std::max(near.width, n_far)));
    const ptrdiff_t stride = pattern_.step() * type_.cols;
    for (int64_t start = places.from; start < places.to; start += kernel_.rows) {
      const auto n_rows = static_cast<int>(std::min<int64_t>(kernel_.rows, places.to - start));
      const int64_t row = c + start * pattern_.step();
      const uint8_t* q = inputs[far_.first].codes_row(row) + h * d_;
      some.keys.panels().run(q, stride, n_rows, dots.data());
      for (int r = 0; r < n_rows; ++r) {
        exp_.scores(far_.scores(dots.data() + r * dots_width, some.keys.offset(0)), scores.data(),
                    n_far);
        codes_of(row + r * pattern_.step(), n, h, near, scores, no_shift, codes.data() + r * n_far);
      }
      if (n_far > 0) some.values.run(codes.data(), n_far, n_rows, context.data());
      for (int r = 0; r < n_rows; ++r) {
        float* out = y.row(row + r * pattern_.step()) + h * d_;
        for (int j = 0; j < d_; ++j) out[j] = far_.context.value(context[r * context_width + j]);
      }
    }
  }

  // Codes of the probabilities of row i, near and far, from the scores of both.
  void codes_of(int64_t i, int64_t n, int h, Near& near, std::vector<float>& far,
                const std::vector<float>& no_shift, uint8_t* far_codes) const {
    const auto n_far = static_cast<int64_t>(far.size());
    int64_t n_near = 0;
    int64_t place = 0;
    if (heads_.sees_near(h)) {
      const Interval shared = pattern_.shared(i, n_far);
      std::fill(far.begin() + shared.from, far.begin() + shared.to, kHidden);
      const Interval seen = pattern_.near(i, n);
      n_near = seen.to - seen.from;
      place = near.place(i) + seen.from - neighbours(i, near.rows, n).base;
    }
    float* scores = near.scores.data() + place;
    const float sum = exp_of_parts(exp_, scores, n_near, far.data(), n_far);
    near_.context.to_codes(scores, sum, n_near, no_shift.data(), near.codes.data() + place);
    far_.context.to_codes(far.data(), sum, n_far, no_shift.data(), far_codes);
  }

  void add_near_part(const Near& near, int h, const Frames& all, Value& y) const {
    const int64_t width = all.values.padded_cols();
    std::vector<int32_t> context(static_cast<size_t>(kernel_.rows * width));
    for (int64_t i = near.rows.from; i < near.rows.to;) {
      const Neighbours some = neighbours(i, near.rows, y.rows);
      for (int p = 0; p < all.values.n_panels(); ++p) {
        kernel_.run(near.codes.data() + near.place(some.first), near.width, some.n_rows,
                    all.values.panel(p, some.base), static_cast<int>(some.high - some.base),
                    context.data() + p * kernel_.cols, width);
      }
      for (int r = 0; r < some.n_rows; ++r, ++i) {
        float* out = y.row(i) + h * d_;
        for (int j = 0; j < d_; ++j) out[j] += near_.context.value(context[r * width + j]);
      }
    }
  }

  Type type_;
  int n_heads_;
  PatternHeads heads_;
  Pattern pattern_;
  int d_;
  PatternPart near_;
  PatternPart far_;
  const GemmI8Kernel& kernel_;
  const ExpKernels& exp_;
};

}  // namespace

std::unique_ptr<Op> make_fixed_attention_i8(const std::vector<Type>& inputs,
                                            Attributes& attributes) {
  expect_codes(inputs, 6);
  return std::make_unique<PatternAttentionI8<FixedPattern>>(inputs, attributes);
}

std::unique_ptr<Op> make_strided_attention_i8(const std::vector<Type>& inputs,
                                              Attributes& attributes) {
  expect_codes(inputs, 6);
  return std::make_unique<PatternAttentionI8<StridedPattern>>(inputs, attributes);
}

}  // namespace earbit
