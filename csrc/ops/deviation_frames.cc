// deviation_frames: sqrt(variance + eps) of every column over all frames, as one row.
#include <algorithm>
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
  Needs needs(size_t) const override { return Needs::all(); }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    if (inputs[0] == 0) throw std::invalid_argument("deviation_frames of 0 frames");
    return 1;
  }

  BlockRows block_rows() const override { return {1, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Variances>(inputs[0]);
  }

  void run_rows(const Block& block) const override {
    const auto* variances = static_cast<const Variances*>(block.state);
    for (int j = 0; j < type_.cols; ++j) {
      const double sum = variances->of(j) + static_cast<double>(eps_);
      block.y.row(0)[j] = static_cast<float>(std::sqrt(sum));
    }
  }

 private:
  // Columns are added over all frames in order, some columns at a time.
  class Variances : public State {
   public:
    explicit Variances(const View& x)
        : x_(x), means_(x.type.cols, 0.0), variances_(x.type.cols, 0.0) {}

    int64_t n_parts() const override { return (x_.type.cols + kColumns - 1) / kColumns; }

    void run_part(int64_t part, Scratch&) override {
      const auto first = static_cast<int>(part * kColumns);
      const int last = std::min(first + kColumns, x_.type.cols);
      const auto n = static_cast<double>(x_.rows.end);
      for (int64_t i = 0; i < x_.rows.end; ++i) {
        const float* row = x_.row(i);
        for (int j = first; j < last; ++j) means_[j] += row[j];
      }
      for (int j = first; j < last; ++j) means_[j] /= n;
      for (int64_t i = 0; i < x_.rows.end; ++i) {
        const float* row = x_.row(i);
        for (int j = first; j < last; ++j) {
          const double distance = row[j] - means_[j];
          variances_[j] += distance * distance;
        }
      }
      for (int j = first; j < last; ++j) variances_[j] /= n;
    }

    double of(int j) const { return variances_[j]; }

   private:
    static constexpr int kColumns = 64;

    View x_;
    std::vector<double> means_;
    std::vector<double> variances_;
  };

  Type type_;
  float eps_;
};

}  // namespace

std::unique_ptr<Op> make_deviation_frames(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<DeviationFrames>(inputs[0], attributes);
}

}  // namespace earbit
