// pack: binarizes floats, bit = x >= threshold of its channel.
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/pack_row.h"

namespace earbit {
namespace {

class Pack : public Op {
 public:
  Pack(const std::vector<Type>& inputs, Attributes& attributes) {
    const int n = inputs[0].cols;
    const int groups = attributes.integer("groups", 1, std::max(1, n));
    if (n % groups != 0) {
      throw std::invalid_argument("groups=" + std::to_string(groups) + " must divide " +
                                  std::to_string(n) + " channels");
    }
    type_ = Type::bits(groups, n / groups);
    threshold_ = attributes.f32("threshold", {n});
  }

  const Type& type() const override { return type_; }

  void run_rows(const Block& block) const override {
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      pack_row(elementwise.at_least_f32, block.inputs[0].row(i), threshold_.data(), i, block.y);
    }
  }

 private:
  Type type_;
  std::vector<float> threshold_;
};

}  // namespace

std::unique_ptr<Op> make_pack(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<Pack>(inputs, attributes);
}

}  // namespace earbit
