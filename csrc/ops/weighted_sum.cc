// weighted_sum: sum over i of weight[i] * x_i for n inputs of equal shape, in input order.
#include <algorithm>
#include <vector>

#include "graph/op.h"

namespace earbit {
namespace {

class WeightedSum : public Op {
 public:
  WeightedSum(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        weight_(attributes.f32("weight", {static_cast<int64_t>(inputs.size())})) {}

  const Type& type() const override { return type_; }

  // Only over the first input, which is read first.
  bool can_overwrite(size_t input) const override { return input == 0; }

  void run_rows(const Block& block) const override {
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      float* out = block.y.row(i);
      const float* in = block.inputs[0].row(i);
      for (int j = 0; j < type_.cols; ++j) out[j] = weight_[0] * in[j];
      for (size_t k = 1; k < block.inputs.size(); ++k) {
        in = block.inputs[k].row(i);
        for (int j = 0; j < type_.cols; ++j) out[j] += weight_[k] * in[j];
      }
    }
  }

 private:
  Type type_;
  std::vector<float> weight_;
};

}  // namespace

std::unique_ptr<Op> make_weighted_sum(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, std::max<size_t>(inputs.size(), 1));
  for (const Type& input : inputs) {
    if (input.cols == inputs[0].cols) continue;
    throw std::invalid_argument("weighted_sum of " + std::to_string(inputs[0].cols) + " and " +
                                std::to_string(input.cols) + " columns");
  }
  return std::make_unique<WeightedSum>(inputs, attributes);
}

}  // namespace earbit
