// repeat: repeats every frame and truncates to the number of frames of a second input.
#include <algorithm>

#include "graph/op.h"

namespace earbit {
namespace {

class Repeat : public Op {
 public:
  Repeat(const Type& type, Attributes& attributes)
      : type_(type), times_(attributes.integer("times", 1, 1 << 10)) {}

  const Type& type() const override { return type_; }

  Needs needs(size_t input) const override {
    Needs needs;
    if (input == 0) needs.repeat = times_;
    return needs;
  }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    const int64_t n = inputs[1];
    if (n > inputs[0] * times_) {
      throw UnfitRows(std::to_string(inputs[0]) + " frames, " + std::to_string(times_) +
                      " times, to " + std::to_string(n));
    }
    return n;
  }

  BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const Block& block) const override {
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      std::copy_n(block.inputs[0].row(i / times_), type_.cols, block.y.row(i));
    }
  }

 private:
  Type type_;
  int times_;
};

}  // namespace

std::unique_ptr<Op> make_repeat(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 2);
  return std::make_unique<Repeat>(inputs[0], attributes);
}

}  // namespace earbit
