// layer_norm: normalises every frame, or the sum of two inputs, over its channels.
#include "graph/row_op.h"
#include "kernels/elementwise.h"
#include "ops/norm_weights.h"

namespace earbit {
namespace {

class LayerNorm : public RowOp, private NormWeights {
 public:
  LayerNorm(const Type& type, Attributes& attributes) : NormWeights(type, attributes) {}

  const Type& type() const override { return type_; }
  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    if (inputs.back().rows != inputs[0].rows) {
      throw std::invalid_argument("layer_norm of " + std::to_string(inputs[0].rows) + " and " +
                                  std::to_string(inputs[1].rows) + " frames");
    }
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    const int n = type_.cols;
    for (int64_t i = begin; i < end; ++i) {
      const float* row = inputs[0].row(i);
      if (inputs.size() == 2) {
        elementwise.add(row, inputs[1].row(i), y.row(i), n);
        row = y.row(i);
      }
      elementwise.layer_norm(row, weight_.data(), bias_.data(), eps_, y.row(i), n);
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
