// depthwise_f32: one kernel per channel, y[t] = bias + sum over taps of w * x.
// A kernel of one frame is a scale and a shift per channel.
#include <algorithm>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class DepthwiseF32 : public Op {
 public:
  DepthwiseF32(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)), type_(inputs[0]) {
    const int n = type_.cols;
    windows_.elements(1);
    const Elements<float> weight = attributes.f32("weight", {n, windows_.kernel});
    weight_.resize(weight.size());
    for (int c = 0; c < n; ++c) {
      for (int k = 0; k < windows_.kernel; ++k) {
        weight_[static_cast<size_t>(k) * n + c] =
            weight[static_cast<size_t>(c) * windows_.kernel + k];
      }
    }
    bias_.assign(n, 0.0f);
    if (attributes.has_tensor("bias")) bias_ = attributes.f32("bias", {n});
  }

  const Type& type() const override { return type_; }

  // Taps beyond the input are left out.
  Needs needs(size_t) const override {
    Needs needs = windows_.needs(0);
    needs.is_padded = false;
    return needs;
  }

  BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const Block& block) const override {
    const View& x = block.inputs[0];
    const auto depthwise = elementwise_kernels(chosen_isa()).depthwise;
    for (int64_t t = block.rows.begin; t < block.rows.end; ++t) {
      const int64_t start = windows_.first(t);
      const int64_t first = std::max(x.rows.begin - start, int64_t{0});
      const int64_t last = std::min<int64_t>(windows_.kernel, x.rows.end - start);
      depthwise(x.row(start + first), weight_.data() + first * type_.cols, last - first,
                bias_.data(), block.y.row(t), type_.cols);
    }
  }

 private:
  Windows windows_;
  Type type_;
  std::vector<float> weight_;  // tap by tap
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Op> make_depthwise_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<DepthwiseF32>(inputs, attributes);
}

}  // namespace earbit
