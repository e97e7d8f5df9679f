// gelu: x (1 + erf(x / sqrt(2))) / 2.
#include "graph/row_op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class Gelu : public RowOp {
 public:
  explicit Gelu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    elementwise_kernels(chosen_isa())
        .gelu(inputs[0].row(begin), y.row(begin), (end - begin) * type_.cols);
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_gelu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Gelu>(inputs[0]);
}

}  // namespace earbit
