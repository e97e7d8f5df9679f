// gelu, relu: one float to one float.  add: two matrices of the same shape.
#include "graph/row_op.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

using Function = void (*)(const float* x, float* y, int64_t n);

void relu(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

class Pointwise : public RowOp {
 public:
  Pointwise(const Type& type, Function function) : type_(type), function_(function) {}

  const Type& type() const override { return type_; }

  bool is_row_by_row() const override { return true; }

  Value output(const std::vector<Value>& inputs, const Workspace& work) const override {
    return work.buffer_of(inputs[0]);
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    function_(inputs[0].row(begin), y.row(begin), (end - begin) * type_.cols);
  }

 private:
  Type type_;
  Function function_;
};

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
    lane_kernels(chosen_isa())
        .add(inputs[0].row(begin), inputs[1].row(begin), y.row(begin), (end - begin) * type_.cols);
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_gelu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Pointwise>(inputs[0], lane_kernels(chosen_isa()).gelu);
}

std::unique_ptr<Op> make_relu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Pointwise>(inputs[0], relu);
}

std::unique_ptr<Op> make_add(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 2);
  if (inputs[0].cols != inputs[1].cols) {
    throw std::invalid_argument("add of " + std::to_string(inputs[0].cols) + " and " +
                                std::to_string(inputs[1].cols) + " columns");
  }
  return std::make_unique<Add>(inputs[0]);
}

}  // namespace earbit
