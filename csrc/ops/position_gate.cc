// position_gate: g1 (g2 constant - 1) + 2 for every head, with the sigmoids g1 and g2 of two
// adjacent columns.  Source: WavLM, arXiv 2110.13900, section 3.1.
#include <vector>

#include "graph/op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class PositionGate : public Op {
 public:
  PositionGate(const Type& input, Attributes& attributes)
      : type_(Type::floats(heads_of(input))),
        constant_(attributes.f32("constant", {type_.cols})),
        ones_(input.cols, 1.0f) {}

  const Type& type() const override { return type_; }

  void run_rows(const Block& block) const override {
    std::vector<float> sigmoids(ones_.size());
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      exp_kernels(chosen_isa())
          .gate(ones_.data(), block.inputs[0].row(i), sigmoids.data(),
                static_cast<int64_t>(ones_.size()));
      float* row = block.y.row(i);
      for (int h = 0; h < type_.cols; ++h) {
        row[h] = sigmoids[2 * h] * (sigmoids[2 * h + 1] * constant_[h] - 1.0f) + 2.0f;
      }
    }
  }

 private:
  static int heads_of(const Type& input) {
    if (input.cols % 2 != 0) {
      throw std::invalid_argument("position_gate of " + std::to_string(input.cols) +
                                  " columns; there must be two for each head");
    }
    return input.cols / 2;
  }

  Type type_;
  std::vector<float> constant_;
  std::vector<float> ones_;
};

}  // namespace

std::unique_ptr<Op> make_position_gate(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<PositionGate>(inputs[0], attributes);
}

}  // namespace earbit
