// depthwise_f32: one kernel per channel, y[t] = bias + sum over taps of w * x.
// A kernel of one frame is a scale and a shift per channel.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class DepthwiseF32 : public Op {
 public:
  DepthwiseF32(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)), type_(inputs[0]) {
    const int n = type_.cols;
    windows_.elements(1);
    const Elements<float> weight = attributes.f32("weight", {n, windows_.kernel});
    weight_.resize(weight.size());
    for (int c = 0; c < n; ++c) {
      for (int k = 0; k < windows_.kernel; ++k) {
        weight_[static_cast<size_t>(k) * n + c] =
            weight[static_cast<size_t>(c) * windows_.kernel + k];
      }
    }
    bias_.assign(n, 0.0f);
    if (attributes.has_tensor("bias")) bias_ = attributes.f32("bias", {n});
  }

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return windows_.count(inputs[0]);
  }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    Value y = work.make(type_, windows_.count(x.rows));
    const ElementwiseKernels& elementwise = elementwise_kernels(chosen_isa());
    parallel_for(y.rows, kRowsPerRange, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t start = t * windows_.stride - windows_.pad_left;
        // Taps inside the input; the others multiply zeros.
        const int64_t first = std::max<int64_t>(0, -start);
        const int64_t last = std::min<int64_t>(windows_.kernel, x.rows - start);
        elementwise.depthwise(x.floats.get() + (start + first) * type_.cols,
                              weight_.data() + first * type_.cols, last - first, bias_.data(),
                              y.row(t), type_.cols);
      }
    });
    return y;
  }

 private:
  Windows windows_;
  Type type_;
  std::vector<float> weight_;  // tap by tap
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Op> make_depthwise_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<DepthwiseF32>(inputs, attributes);
}

}  // namespace earbit
