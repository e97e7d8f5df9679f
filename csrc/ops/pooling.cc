// What a head does to hidden states.
// mean_frames: every column's mean over all frames, one row.
// weighted_sum: n values of one shape become one, sum over i of weight[i] * x_i, in their order.
#include <algorithm>
#include <vector>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

constexpr int64_t kGrainRows = 64;

class MeanFrames : public Op {
 public:
  explicit MeanFrames(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>&) const override { return 1; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    if (x.rows == 0) throw std::invalid_argument("mean_frames of 0 frames");
    const int n = type_.cols;
    // Blocks have a fixed size and are added up in order: results do not depend on threads.
    const Value sums = work.make(type_, (x.rows + kGrainRows - 1) / kGrainRows);
    const auto add = lane_kernels(chosen_isa()).add;
    parallel_for(sums.rows, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * kGrainRows;
        const int64_t last = std::min(first + kGrainRows, x.rows);
        float* sum = sums.row(block);
        std::copy_n(x.row(first), n, sum);
        for (int64_t i = first + 1; i < last; ++i) add(sum, x.row(i), sum, n);
      }
    });
    Value y = work.make(type_, 1);
    for (int j = 0; j < n; ++j) {
      double total = 0.0;
      for (int64_t block = 0; block < sums.rows; ++block) total += sums.row(block)[j];
      y.row(0)[j] = static_cast<float>(total / static_cast<double>(x.rows));
    }
    return y;
  }

 private:
  Type type_;
};

class WeightedSum : public Op {
 public:
  WeightedSum(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        weight_(attributes.f32("weight", {static_cast<int64_t>(inputs.size())})) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    for (const Value& x : inputs) {
      if (x.rows == inputs[0].rows) continue;
      throw std::invalid_argument("weighted_sum of " + std::to_string(inputs[0].rows) + " and " +
                                  std::to_string(x.rows) + " frames");
    }
    Value y = work.buffer_of(inputs[0]);
    parallel_for(y.rows, kGrainRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* out = y.row(i);
        const float* in = inputs[0].row(i);
        for (int j = 0; j < type_.cols; ++j) out[j] = weight_[0] * in[j];
        for (size_t k = 1; k < inputs.size(); ++k) {
          in = inputs[k].row(i);
          for (int j = 0; j < type_.cols; ++j) out[j] += weight_[k] * in[j];
        }
      }
    });
    return y;
  }

 private:
  Type type_;
  std::vector<float> weight_;
};

}  // namespace

std::unique_ptr<Op> make_mean_frames(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<MeanFrames>(inputs[0]);
}

std::unique_ptr<Op> make_weighted_sum(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, std::max<size_t>(inputs.size(), 1));
  for (const Type& input : inputs) {
    if (input.cols == inputs[0].cols) continue;
    throw std::invalid_argument("weighted_sum of " + std::to_string(inputs[0].cols) + " and " +
                                std::to_string(input.cols) + " columns");
  }
  return std::make_unique<WeightedSum>(inputs, attributes);
}

}  // namespace earbit
