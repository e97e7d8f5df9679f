// quantize: quantizes floats to codes, round((factor * x + shift) / scale) clamped to the code set.
#include "graph/op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class Quantize : public Op {
 public:
  Quantize(const std::vector<Type>& inputs, Attributes& attributes)
      : factor_(attributes.number("factor")), scale_(attributes.positive("scale")) {
    // 1-bit codes are comparisons without rounding, computed by `pack`.
    const int bits = attributes.integer("bits", 2, kMaxCodeBits);
    type_ = Type::codes(inputs[0].cols, {bits, attributes.integer("unsigned", 0, 1) == 1});
    shift_ = attributes.f32("shift", {inputs[0].cols});
  }

  const Type& type() const override { return type_; }

  void run_rows(const Block& block) const override {
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    const CodeSet& set = type_.set;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      elementwise.quantize(block.inputs[0].row(i), shift_.data(), factor_, scale_, set.low(),
                           set.value(set.largest()), block.y.codes_row(i), type_.cols);
    }
  }

 private:
  float factor_;
  float scale_;
  std::vector<float> shift_;
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_quantize(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<Quantize>(inputs, attributes);
}

}  // namespace earbit
