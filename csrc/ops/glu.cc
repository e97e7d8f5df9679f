// glu: left half of the columns times the sigmoid of the right half.
#include "graph/row_op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class Glu : public RowOp {
 public:
  explicit Glu(const Type& input) : type_(Type::floats(input.cols / 2)) {
    if (input.cols % 2 != 0) {
      throw std::invalid_argument("glu of " + std::to_string(input.cols) +
                                  " columns; they must be even");
    }
  }

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    for (int64_t i = begin; i < end; ++i) {
      const float* x = inputs[0].row(i);
      exp_kernels(chosen_isa()).gate(x, x + type_.cols, y.row(i), type_.cols);
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
