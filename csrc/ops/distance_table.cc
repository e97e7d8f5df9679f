// distance_table: one row for every distance -(n - 1), ..., 0, ..., n - 1 of n input frames, out of
// a table of the distances -radius, ..., radius; farther ones have the first or the last row.
#include <algorithm>

#include "graph/op.h"

namespace earbit {
namespace {

class DistanceTable : public Op {
 public:
  explicit DistanceTable(Attributes& attributes)
      : type_(Type::floats(attributes.integer("columns", 1, 1 << 16))),
        radius_(attributes.integer("radius", 0, 1 << 20)),
        table_(attributes.f32("table", {2 * radius_ + 1, type_.cols})) {}

  const Type& type() const override { return type_; }
  Needs needs(size_t) const override { return Needs::all(); }
  int64_t rows(const std::vector<int64_t>& inputs) const override { return 2 * inputs[0] - 1; }
  BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const Block& block) const override {
    const int64_t n = block.inputs[0].rows.end;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      const int64_t distance = std::clamp<int64_t>(i - (n - 1), -radius_, radius_);
      const float* row = table_.data() + (distance + radius_) * type_.cols;
      std::copy(row, row + type_.cols, block.y.row(i));
    }
  }

 private:
  Type type_;
  int radius_;
  std::vector<float> table_;
};

}  // namespace

std::unique_ptr<Op> make_distance_table(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_inputs(inputs, 1);
  return std::make_unique<DistanceTable>(attributes);
}

}  // namespace earbit
