// add: the sum of two matrices of the same shape.
#include "graph/op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class Add : public Op {
 public:
  explicit Add(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool can_overwrite(size_t) const override { return true; }

  void run_rows(const Block& block) const override {
    const int64_t i = block.rows.begin;
    elementwise_kernels(chosen_isa())
        .add(block.inputs[0].row(i), block.inputs[1].row(i), block.y.row(i),
             block.rows.size() * type_.cols);
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_add(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 2);
  if (inputs[0].cols != inputs[1].cols) {
    throw std::invalid_argument("add of " + std::to_string(inputs[0].cols) + " and " +
                                std::to_string(inputs[1].cols) + " columns");
  }
  return std::make_unique<Add>(inputs[0]);
}

}  // namespace earbit
