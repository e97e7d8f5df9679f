// mean_frames: mean of every column over all frames, as one row.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class MeanFrames : public Op {
 public:
  explicit MeanFrames(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>&) const override { return 1; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    if (x.rows == 0) throw std::invalid_argument("mean_frames of 0 frames");
    const int n = type_.cols;
    // Blocks have a fixed size and are added in order, so results do not depend on threads.
    const Value sums = work.make(type_, (x.rows + kBlockRows - 1) / kBlockRows);
    const auto add = elementwise_kernels(chosen_isa()).add;
    parallel_for(sums.rows, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * kBlockRows;
        const int64_t last = std::min(first + kBlockRows, x.rows);
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
  static constexpr int64_t kBlockRows = 64;

  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_mean_frames(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<MeanFrames>(inputs[0]);
}

}  // namespace earbit
