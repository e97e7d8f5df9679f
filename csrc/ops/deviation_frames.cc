// deviation_frames: sqrt(variance + eps) of every column over all frames, as one row.
#include <cmath>
#include <vector>

#include "graph/op.h"

namespace earbit {
namespace {

class DeviationFrames : public Op {
 public:
  DeviationFrames(const Type& type, Attributes& attributes)
      : type_(type), eps_(attributes.positive("eps")) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>&) const override { return 1; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    if (x.rows == 0) throw std::invalid_argument("deviation_frames of 0 frames");
    const std::vector<double> mean = means(x, {});
    const std::vector<double> variance = means(x, mean);
    Value y = work.make(type_, 1);
    for (int j = 0; j < type_.cols; ++j) {
      y.row(0)[j] = static_cast<float>(std::sqrt(variance[j] + static_cast<double>(eps_)));
    }
    return y;
  }

 private:
  // The mean of every column, or of its squared distance from `centre`.
  std::vector<double> means(const Value& x, const std::vector<double>& centre) const {
    std::vector<double> sums(type_.cols, 0.0);
    for (int64_t i = 0; i < x.rows; ++i) {
      const float* row = x.row(i);
      for (int j = 0; j < type_.cols; ++j) {
        const double distance = centre.empty() ? 0.0 : row[j] - centre[j];
        sums[j] += centre.empty() ? row[j] : distance * distance;
      }
    }
    for (double& sum : sums) sum /= static_cast<double>(x.rows);
    return sums;
  }

  Type type_;
  float eps_;
};

}  // namespace

std::unique_ptr<Op> make_deviation_frames(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<DeviationFrames>(inputs[0], attributes);
}

}  // namespace earbit
