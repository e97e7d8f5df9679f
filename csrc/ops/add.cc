// add: the sum of two matrices of the same shape.
#include "graph/row_op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class Add : public RowOp {
 public:
  explicit Add(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    if (inputs[0].rows != inputs[1].rows) {
      throw std::invalid_argument("add of " + std::to_string(inputs[0].rows) + " and " +
                                  std::to_string(inputs[1].rows) + " frames");
    }
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    elementwise_kernels(chosen_isa())
        .add(inputs[0].row(begin), inputs[1].row(begin), y.row(begin), (end - begin) * type_.cols);
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
