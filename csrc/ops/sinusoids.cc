// sinusoids: one row for every distance n - 1, ..., 0, ..., -(n - 1) of n input frames, the sine
// and cosine of distance * frequency in adjacent columns.
#include <cmath>

#include "graph/op.h"

namespace earbit {
namespace {

class Sinusoids : public Op {
 public:
  explicit Sinusoids(Attributes& attributes)
      : type_(Type::floats(attributes.integer("columns", 1, 1 << 20))),
        frequency_(attributes.f32("frequency", {(type_.cols + 1) / 2})) {}

  const Type& type() const override { return type_; }
  Needs needs(size_t) const override { return Needs::all(); }
  int64_t rows(const std::vector<int64_t>& inputs) const override { return 2 * inputs[0] - 1; }
  BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const Block& block) const override {
    const int64_t n = block.inputs[0].rows.end;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      float* row = block.y.row(i);
      for (int j = 0; j < type_.cols; ++j) {
        const float angle = static_cast<float>(n - 1 - i) * frequency_[j / 2];
        row[j] = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
    }
  }

 private:
  Type type_;
  std::vector<float> frequency_;
};

}  // namespace

std::unique_ptr<Op> make_sinusoids(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_inputs(inputs, 1);
  return std::make_unique<Sinusoids>(attributes);
}

}  // namespace earbit
