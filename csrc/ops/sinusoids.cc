// sinusoids: one row for every distance n - 1, ..., 0, ..., -(n - 1) of n input frames, the sine
// and cosine of distance * frequency in adjacent columns.
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"

namespace earbit {
namespace {

class Sinusoids : public Op {
 public:
  explicit Sinusoids(Attributes& attributes)
      : type_(Type::floats(attributes.integer("columns", 1, 1 << 20))),
        frequency_(attributes.f32("frequency", {(type_.cols + 1) / 2})) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override { return 2 * inputs[0] - 1; }
  bool doubles_rows() const override { return true; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    Value y = work.make(type_, 2 * n - 1);
    parallel_for(y.rows, kRowsPerRange, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = y.row(i);
        for (int j = 0; j < type_.cols; ++j) {
          const float angle = static_cast<float>(n - 1 - i) * frequency_[j / 2];
          row[j] = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
        }
      }
    });
    return y;
  }

 private:
  Type type_;
  std::vector<float> frequency_;
};

}  // namespace

std::unique_ptr<Op> make_sinusoids(const std::vector<Type>& inputs, Attributes& attributes) {
  if (inputs.size() != 1) {
    throw std::invalid_argument(std::to_string(inputs.size()) + " inputs, expected 1");
  }
  return std::make_unique<Sinusoids>(attributes);
}

}  // namespace earbit
