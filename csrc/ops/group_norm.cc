// group_norm: normalises every channel over all frames.
#include <algorithm>
#include <cmath>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/norm_weights.h"

namespace earbit {
namespace {

class GroupNorm : public Op, private NormWeights {
 public:
  GroupNorm(const Type& type, Attributes& attributes) : NormWeights(type, attributes) {}

  const Type& type() const override { return type_; }
  Needs needs(size_t) const override { return Needs::all(); }
  BlockRows block_rows() const override { return {kBlockRows, 1}; }
  bool can_overwrite(size_t) const override { return true; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    const NormWeights& weights = *this;
    return std::make_unique<Gains>(inputs[0], weights);
  }

  void run_rows(const Block& block) const override {
    const auto* gains = static_cast<const Gains*>(block.state);
    const auto affine = elementwise_kernels(chosen_isa()).affine;
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      affine(block.inputs[0].row(i), gains->gain.data(), gains->offset.data(), block.y.row(i),
             type_.cols);
    }
  }

 private:
  static constexpr int kBlockRows = 64;

  // y = gain * x + offset per channel.  Blocks have a fixed size and are merged in order, so
  // results do not depend on threads and memory is read once.
  class Gains : public State {
   public:
    Gains(const View& x, const NormWeights& weights)
        : x_(x),
          weights_(weights),
          n_blocks_((x.rows.end + kBlockRows - 1) / kBlockRows),
          means_(static_cast<size_t>(n_blocks_) * x.type.cols),
          squares_(means_.size()) {}

    int64_t n_parts() const override { return n_blocks_; }

    // Mean of a block of rows and sum of squared deviations from it, per channel.  Sums are
    // relative to the first row, which keeps precision if the mean is far from zero.
    void run_part(int64_t block, Scratch&) override {
      const int n = x_.type.cols;
      const int64_t n_rows = rows_of(block);
      const float* first = x_.row(block * kBlockRows);
      float* mean = means_.data() + block * n;
      float* square = squares_.data() + block * n;
      const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
      for (int64_t i = 0; i < n_rows; ++i) elementwise.add_distances(first + i * n, first, mean, n);
      for (int j = 0; j < n; ++j) mean[j] = first[j] + mean[j] / static_cast<float>(n_rows);
      for (int64_t i = 0; i < n_rows; ++i) elementwise.add_squares(first + i * n, mean, square, n);
    }

    void finish() override {
      const int n = x_.type.cols;
      std::vector<double> mean(n, 0.0);
      std::vector<double> square(n, 0.0);
      for (int64_t block = 0; block < n_blocks_; ++block) {
        const auto n_before = static_cast<double>(block * kBlockRows);
        const auto n_more = static_cast<double>(rows_of(block));
        const double fraction = n_more / (n_before + n_more);
        for (int j = 0; j < n; ++j) {
          const double step = means_[block * n + j] - mean[j];
          mean[j] += step * fraction;
          square[j] += squares_[block * n + j] + step * step * n_before * fraction;
        }
      }
      const auto n_rows = static_cast<double>(x_.rows.end);
      for (int j = 0; j < n; ++j) {
        const double scale = weights_.weight_[j] / std::sqrt(square[j] / n_rows + weights_.eps_);
        gain.push_back(static_cast<float>(scale));
        offset.push_back(static_cast<float>(weights_.bias_[j] - mean[j] * scale));
      }
    }

    std::vector<float> gain;
    std::vector<float> offset;

   private:
    int64_t rows_of(int64_t block) const {
      return std::min<int64_t>(kBlockRows, x_.rows.end - block * kBlockRows);
    }

    View x_;
    const NormWeights& weights_;
    int64_t n_blocks_;
    std::vector<float> means_;
    std::vector<float> squares_;
  };
};

}  // namespace

std::unique_ptr<Op> make_group_norm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<GroupNorm>(inputs[0], attributes);
}

}  // namespace earbit
