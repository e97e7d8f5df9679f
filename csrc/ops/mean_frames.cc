// mean_frames: mean of every column over all frames, as one row.
#include <algorithm>

#include "graph/op.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

class MeanFrames : public Op {
 public:
  explicit MeanFrames(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }
  Needs needs(size_t) const override { return Needs::all(); }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    if (inputs[0] == 0) throw std::invalid_argument("mean_frames of 0 frames");
    return 1;
  }

  BlockRows block_rows() const override { return {1, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Sums>(inputs[0]);
  }

  void run_rows(const Block& block) const override {
    static_cast<const Sums*>(block.state)->mean(block.y.row(0));
  }

 private:
  // Sums of blocks of fixed size, added in order, so that results do not depend on threads.
  class Sums : public State {
   public:
    explicit Sums(const View& x)
        : x_(x),
          n_blocks_((x.rows.end + kBlockRows - 1) / kBlockRows),
          sums_(std::make_unique_for_overwrite<float[]>(n_blocks_ * x.type.cols)) {}

    int64_t n_parts() const override { return n_blocks_; }

    void run_part(int64_t block, Scratch&) override {
      const int n = x_.type.cols;
      const int64_t first = block * kBlockRows;
      const int64_t last = std::min(first + kBlockRows, x_.rows.end);
      float* sum = sums_.get() + block * n;
      std::copy_n(x_.row(first), n, sum);
      const auto add = elementwise_kernels(chosen_isa()).add;
      for (int64_t i = first + 1; i < last; ++i) add(sum, x_.row(i), sum, n);
    }

    void mean(float* out) const {
      const int n = x_.type.cols;
      for (int j = 0; j < n; ++j) {
        double total = 0.0;
        for (int64_t block = 0; block < n_blocks_; ++block) total += sums_[block * n + j];
        out[j] = static_cast<float>(total / static_cast<double>(x_.rows.end));
      }
    }

   private:
    static constexpr int64_t kBlockRows = 64;

    View x_;
    int64_t n_blocks_;
    std::unique_ptr<float[]> sums_;
  };

  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_mean_frames(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<MeanFrames>(inputs[0]);
}

}  // namespace earbit
