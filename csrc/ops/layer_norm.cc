// layer_norm: normalises every frame, or the sum of two inputs, over its channels.
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/norm_weights.h"

namespace earbit {
namespace {

class LayerNorm : public Op, private NormWeights {
 public:
  LayerNorm(const Type& type, Attributes& attributes) : NormWeights(type, attributes) {}

  const Type& type() const override { return type_; }

  bool can_overwrite(size_t) const override { return true; }

  void run_rows(const Block& block) const override {
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    const int n = type_.cols;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      const float* row = block.inputs[0].row(i);
      float* out = block.y.row(i);
      if (block.inputs.size() == 2) {
        elementwise.add(row, block.inputs[1].row(i), out, n);
        row = out;
      }
      elementwise.layer_norm(row, weight_.data(), bias_.data(), eps_, out, n);
    }
  }
};

}  // namespace

std::unique_ptr<Op> make_layer_norm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, inputs.size() == 2 ? 2 : 1);
  if (inputs.size() == 2 && inputs[0].cols != inputs[1].cols) {
    throw std::invalid_argument("layer_norm of " + std::to_string(inputs[0].cols) + " and " +
                                std::to_string(inputs[1].cols) + " columns");
  }
  return std::make_unique<LayerNorm>(inputs[0], attributes);
}

}  // namespace earbit
