// silu: x sigmoid(x).
#include "graph/row_op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class Silu : public RowOp {
 public:
  explicit Silu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    exp_kernels(chosen_isa()).silu(inputs[0].row(begin), y.row(begin), (end - begin) * type_.cols);
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_silu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Silu>(inputs[0]);
}

}  // namespace earbit
