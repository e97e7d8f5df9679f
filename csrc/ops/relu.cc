// relu: max(x, 0), and 0 for NaN.
#include "graph/op.h"

namespace earbit {
namespace {

class Relu : public Op {
 public:
  explicit Relu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool can_overwrite(size_t) const override { return true; }

  void run_rows(const Block& block) const override {
    const int64_t n = block.rows.size() * type_.cols;
    const float* x = block.inputs[0].row(block.rows.begin);
    float* out = block.y.row(block.rows.begin);
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
