// depthwise_i8: one kernel per channel, weights and inputs are codes of 1 to 8 bits.
//
// The value of an input code u is low + step * u, so with the sums s over u
//   dot = step * s + low * (the sum of the channel's weights),  y = scale * dot + bias.
// Padding frames are the code 0, or the lower value of a set without zero, as in training.
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/weight_codes.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class DepthwiseI8 : public Op {
 public:
  DepthwiseI8(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        in_(inputs[0]),
        type_(Type::floats(in_.cols)),
        elementwise_(elementwise_kernels(chosen_isa())) {
    const int n = in_.cols;
    const int n_taps = windows_.elements(1);
    const std::vector<int8_t> weight = weight_codes(attributes, in_.set, n, n_taps);
    scale_ = attributes.f32("scale", {n});
    bias_ = attributes.f32("bias", {n});
    weight_.resize(weight.size());
    for (int c = 0; c < n; ++c) {
      int32_t sum = 0;
      for (int k = 0; k < n_taps; ++k) {
        const int8_t w = weight[static_cast<size_t>(c) * n_taps + k];
        weight_[static_cast<size_t>(k) * n + c] = w;
        sum += w;
      }
      offset_.push_back(in_.set.low() * sum);
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t) const override {
    return windows_.needs(static_cast<unsigned char>(in_.set.padding()));
  }

  BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const Block& block) const override {
    const int n = in_.cols;
    auto* dot = block.scratch.take<int32_t>(n);
    for (int64_t t = block.rows.begin; t < block.rows.end; ++t) {
      const uint8_t* window = block.inputs[0].codes_row(windows_.first(t));
      elementwise_.channel_dots(window, weight_.data(), n, windows_.kernel, dot);
      elementwise_.scale_sums(dot, in_.set.step(), offset_.data(), scale_.data(), bias_.data(),
                              block.y.row(t), n);
    }
  }

 private:
  Windows windows_;
  Type in_;
  Type type_;
  const ElementwiseKernels& elementwise_;
  std::vector<int16_t> weight_;  // tap by tap
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> offset_;
};

}  // namespace

std::unique_ptr<Op> make_depthwise_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(inputs, 1);
  return std::make_unique<DepthwiseI8>(inputs, attributes);
}

}  // namespace earbit
