// silu: x sigmoid(x).
#include "graph/op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class Silu : public Op {
 public:
  explicit Silu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  bool can_overwrite(size_t) const override { return true; }

  void run_rows(const Block& block) const override {
    exp_kernels(chosen_isa())
        .silu(block.inputs[0].row(block.rows.begin), block.y.row(block.rows.begin),
              block.rows.size() * type_.cols);
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
