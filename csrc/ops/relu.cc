// relu: max(x, 0), and 0 for NaN.
#include "graph/row_op.h"

namespace earbit {
namespace {

class Relu : public RowOp {
 public:
  explicit Relu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    const int64_t n = (end - begin) * type_.cols;
    const float* x = inputs[0].row(begin);
    float* out = y.row(begin);
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] > 0.0f ? x[i] : 0.0f;
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_relu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Relu>(inputs[0]);
}

}  // namespace earbit
