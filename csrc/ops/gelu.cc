// gelu: x (1 + erf(x / sqrt(2))) / 2.
#include "graph/op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class Gelu : public Op {
 public:
  explicit Gelu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool can_overwrite(size_t) const override { return true; }

  void run_rows(const Block& block) const override {
    elementwise_kernels(chosen_isa())
        .gelu(block.inputs[0].row(block.rows.begin), block.y.row(block.rows.begin),
              block.rows.size() * type_.cols);
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
