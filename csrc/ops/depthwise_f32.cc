// depthwise_f32: every channel has a kernel of its own, y[t] = bias + sum over taps of w * x.
// A kernel of one frame is a scale and a shift per channel.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "ops/windows.h"

namespace earbit {
namespace {

// Channels whose sums stay in registers over all taps.
constexpr int kLanes = 16;
constexpr int64_t kGrainRows = 64;

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
    parallel_for(y.rows, kGrainRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t start = t * windows_.stride - windows_.pad_left;
        // Taps that see a frame; the others see zeros.
        const int64_t first = std::max<int64_t>(0, -start);
        const int64_t last = std::min<int64_t>(windows_.kernel, x.rows - start);
        const float* frame = x.floats.get() + (start + first) * type_.cols;
        const float* weight = weight_.data() + first * type_.cols;
        int c = 0;
        for (; c + kLanes <= type_.cols; c += kLanes) {
          sum<kLanes>(frame + c, weight + c, last - first, bias_.data() + c, y.row(t) + c);
        }
        for (; c < type_.cols; ++c) {
          sum<1>(frame + c, weight + c, last - first, bias_.data() + c, y.row(t) + c);
        }
      }
    });
    return y;
  }

 private:
  template <int n_lanes>
  void sum(const float* x, const float* w, int64_t n_taps, const float* bias, float* y) const {
    float total[n_lanes];
    for (int l = 0; l < n_lanes; ++l) total[l] = bias[l];
    for (int64_t k = 0; k < n_taps; ++k, x += type_.cols, w += type_.cols) {
      for (int l = 0; l < n_lanes; ++l) total[l] += w[l] * x[l];
    }
    for (int l = 0; l < n_lanes; ++l) y[l] = total[l];
  }

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
