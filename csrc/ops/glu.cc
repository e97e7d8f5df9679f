// glu: left half of the columns times the sigmoid of the right half.
#include "graph/op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class Glu : public Op {
 public:
  explicit Glu(const Type& input) : type_(Type::floats(input.cols / 2)) {
    if (input.cols % 2 != 0) {
      throw std::invalid_argument("glu of " + std::to_string(input.cols) +
                                  " columns; they must be even");
    }
  }

  const Type& type() const override { return type_; }

  void run_rows(const Block& block) const override {
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      const float* x = block.inputs[0].row(i);
      exp_kernels(chosen_isa()).gate(x, x + type_.cols, block.y.row(i), type_.cols);
    }
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_glu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Glu>(inputs[0]);
}

}  // namespace earbit
