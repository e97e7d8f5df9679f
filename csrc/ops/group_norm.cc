// group_norm: normalises every channel over all frames.
#include <algorithm>
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/norm_weights.h"

namespace earbit {
namespace {

class GroupNorm : public Op, private NormWeights {
 public:
  GroupNorm(const Type& type, Attributes& attributes) : NormWeights(type, attributes) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    const int n = type_.cols;
    // Blocks have a fixed size and are merged in order, so results do not depend on threads and
    // memory is read once.
    const int64_t n_blocks = (x.rows + kBlockRows - 1) / kBlockRows;
    std::vector<float> means(static_cast<size_t>(n_blocks) * n);
    std::vector<float> squares(means.size());
    parallel_for(n_blocks, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        moments(x, block, means.data() + block * n, squares.data() + block * n);
      }
    });
    std::vector<double> mean(n, 0.0);
    std::vector<double> square(n, 0.0);
    for (int64_t block = 0; block < n_blocks; ++block) {
      const auto n_before = static_cast<double>(block * kBlockRows);
      const double n_more = static_cast<double>(rows_of(x, block));
      const double fraction = n_more / (n_before + n_more);
      for (int j = 0; j < n; ++j) {
        const double step = means[block * n + j] - mean[j];
        mean[j] += step * fraction;
        square[j] += squares[block * n + j] + step * step * n_before * fraction;
      }
    }
    std::vector<float> gain(n);
    std::vector<float> offset(n);
    for (int j = 0; j < n; ++j) {
      const double scale = weight_[j] / std::sqrt(square[j] / static_cast<double>(x.rows) + eps_);
      gain[j] = static_cast<float>(scale);
      offset[j] = static_cast<float>(bias_[j] - mean[j] * scale);
    }
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    Value y = work.buffer_of(x);
    parallel_for(x.rows, kBlockRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        elementwise.affine(x.row(i), gain.data(), offset.data(), y.row(i), n);
      }
    });
    return y;
  }

 private:
  static constexpr int kBlockRows = 64;

  static int64_t rows_of(const Value& x, int64_t block) {
    return std::min<int64_t>(kBlockRows, x.rows - block * kBlockRows);
  }

  // Mean of a block of rows and sum of squared deviations from it, per channel.  Sums are relative
  // to the first row, which keeps precision if the mean is far from zero.
  void moments(const Value& x, int64_t block, float* mean, float* square) const {
    const int n = type_.cols;
    const int64_t n_rows = rows_of(x, block);
    const float* first = x.row(block * kBlockRows);
    std::fill_n(mean, n, 0.0f);
    std::fill_n(square, n, 0.0f);
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    for (int64_t i = 0; i < n_rows; ++i) elementwise.add_distances(first + i * n, first, mean, n);
    for (int j = 0; j < n; ++j) mean[j] = first[j] + mean[j] / static_cast<float>(n_rows);
    for (int64_t i = 0; i < n_rows; ++i) elementwise.add_squares(first + i * n, mean, square, n);
  }
};

}  // namespace

std::unique_ptr<Op> make_group_norm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<GroupNorm>(inputs[0], attributes);
}

}  // namespace earbit
