// gemm_b1, which is also conv_b1: weights and inputs are bits.
//
// With kernel counts c, and n bits and p ones in a window:
//   signed input    dot = n - 2 c,  c = popcount(a xor w)
//   unsigned input  dot = 2 c - p,  c = popcount(a and w)
// Padding frames are zero words: bit 0, the lower value of the set, as in training.
// The output is y = scale * dot + bias, or the bit dot >= threshold, where the threshold combines a
// scale, a bias, an activation and the next binarizer.
#include "kernels/gemm_b1.h"

#include <algorithm>
#include <optional>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/bit_groups.h"
#include "ops/conv_along_time.h"
#include "ops/thresholds.h"
#include "ops/weight_bits.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class GemmB1 : public Op {
 public:
  GemmB1(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        in_(inputs[0]),
        groups_(attributes.integer("groups", 1, 1 << 20)),
        is_unsigned_(attributes.integer("unsigned", 0, 1) == 1),
        elementwise_(elementwise_kernels(chosen_isa())) {
    const int out_groups = attributes.integer("out_groups", 1, 1 << 20);
    if (groups_ != in_.groups) {
      throw std::invalid_argument("groups=" + std::to_string(groups_) + ", but the input has " +
                                  std::to_string(in_.groups));
    }
    n_out_ = outputs_of(attributes);
    if (n_out_ % groups_ != 0 || n_out_ % out_groups != 0) {
      throw std::invalid_argument(std::to_string(n_out_) +
                                  " outputs; they must be divided by groups and out_groups");
    }
    n_bits_ = windows_.elements(in_.bits_per_group);
    n_words_ = windows_.kernel * in_.words();
    const Elements<uint64_t> weight = attributes.u64("weight", {n_out_, n_words_});
    check_tails(weight, in_.bits_per_group);
    if (attributes.has_tensor("threshold")) {
      if (groups_ > 1) throw std::invalid_argument("thresholds need groups=1");
      threshold_ = thresholds_of(attributes, n_out_);
      type_ = Type::bits(out_groups, n_out_ / out_groups);
    } else {
      scale_ = attributes.f32("scale", {n_out_});
      bias_ = attributes.f32("bias", {n_out_});
      if (out_groups > 1) throw std::invalid_argument("out_groups is for bits; floats have one");
      type_ = Type::floats(n_out_);
    }
    const int per_group = n_out_ / groups_;
    if (type_.kind == Kind::floats && windows_.stride == 1) {
      along_time_ = ConvAlongTime::made(windows_.kernel, in_.bits_per_group, per_group, groups_,
                                        is_unsigned_, weight.data());
    }
    if (along_time_) return;
    for (int g = 0; g < groups_; ++g) {
      panels_.emplace_back(gemm_b1_kernel(chosen_isa()),
                           weight.data() + static_cast<size_t>(g) * per_group * n_words_, n_words_,
                           per_group, n_words_);
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t) const override { return windows_.needs(0); }

  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::b1, static_cast<double>(rows(inputs)) * n_bits_ * n_out_};
  }

  // Weights fill the cache, so ops that run together would evict each other's weights.
  BlockRows block_rows() const override {
    if (along_time_) return along_time_->block_rows();
    return {kBlockRows, panels_[0].kernel().rows};
  }

  void run_rows(const Block& block) const override {
    if (along_time_) {
      const View& x = block.inputs[0];
      return along_time_->run(x, windows_.first(block.rows.begin), scale_.data(), bias_.data(),
                              elementwise_, block);
    }
    for (int g = 0; g < groups_; ++g) run_group(block, g);
  }

 private:
  static constexpr int kBlockRows = 48;

  // A panel stays in L1 for all rows of a block.
  void run_group(const Block& block, int g) const {
    const View& y = block.y;
    const int64_t first = block.rows.begin;
    const auto n_rows = static_cast<int>(block.rows.size());
    const ptrdiff_t stride = static_cast<ptrdiff_t>(windows_.stride) * in_.words();
    const uint64_t* a = block.inputs[0].bits_row(g, windows_.first(first));
    const PanelsB1& panels = panels_[g];
    const GemmB1Kernel& kernel = panels.kernel();
    int32_t offsets[kBlockRows];
    for (int i = 0; i < n_rows; ++i) {
      offsets[i] = is_unsigned_
                       ? -static_cast<int32_t>(elementwise_.n_ones(a + i * stride, n_words_))
                       : n_bits_;
    }
    uint16_t* arranged = nullptr;
    if (kernel.arrange != nullptr && panels.n_panels() > 1) {
      arranged = block.scratch.take<uint16_t>(int64_t{(n_rows + 1) / 2} * 16 * n_words_);
      kernel.arrange(a, stride, n_rows, n_words_, arranged);
    }
    const int n_out = n_out_ / groups_;
    const bool is_direct = kernel.cols == kWordBits && type_.bits_per_group % kWordBits == 0;
    const int64_t n_words = is_direct ? 0 : n_rows * words_for(n_out_);
    auto* bits = block.scratch.take<uint64_t>(n_words);
    std::fill_n(bits, n_words, uint64_t{0});
    for (int p = 0; p < panels.n_panels(); ++p) {
      const int column = p * kernel.cols;
      const DotsB1 dots{a,
                        stride,
                        n_rows,
                        panels.panel(p),
                        n_words_,
                        std::min(kernel.cols, n_out - column),
                        !is_unsigned_,
                        offsets,
                        arranged};
      if (type_.kind != Kind::bits) {
        const int at = g * n_out + column;
        to_floats(kernel, dots, scale_.data() + at, bias_.data() + at, y.row(first) + at,
                  type_.cols);
      } else if (is_direct) {
        // A panel corresponds to one word of a group.
        uint64_t* out = y.bits_row(column / type_.bits_per_group, first) +
                        column % type_.bits_per_group / kWordBits;
        to_bits(kernel, dots, threshold_.data() + column, out, type_.words());
      } else {
        uint64_t packed[kBlockRows];
        to_bits(kernel, dots, threshold_.data() + column, packed, 1);
        // Panels of 8 or 64 outputs never cross a word.
        for (int i = 0; i < n_rows; ++i) {
          bits[i * words_for(n_out_) + column / kWordBits] |= packed[i] << (column % kWordBits);
        }
      }
    }
    if (type_.kind != Kind::bits || is_direct) return;
    for (int i = 0; i < n_rows; ++i) into_groups(bits + i * words_for(n_out_), first + i, y);
  }

  Windows windows_;
  Type in_;
  int groups_;
  bool is_unsigned_;
  const ElementwiseKernels& elementwise_;
  int n_out_ = 0;
  int n_words_ = 0;
  int n_bits_ = 0;
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> threshold_;
  Type type_;
  std::vector<PanelsB1> panels_;
  std::optional<ConvAlongTime> along_time_;  // instead of panels
};

}  // namespace

std::unique_ptr<Op> make_gemm_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_bits(inputs, 1);
  return std::make_unique<GemmB1>(inputs, attributes);
}

}  // namespace earbit
