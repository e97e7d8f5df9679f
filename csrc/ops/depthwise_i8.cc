// depthwise_i8: one kernel per channel, weights and inputs are codes of 1 to 8 bits.
//
// The value of an input code u is low + step * u, so with the sums s over u
//   dot = step * s + low * (the sum of the channel's weights),  y = scale * dot + bias.
// Padding frames are the code 0, or the lower value of a set without zero, as in training.  The few
// windows that contain padding are copied.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/weight_codes.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class DepthwiseI8 : public Op {
 public:
  DepthwiseI8(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        in_(inputs[0]),
        type_(Type::floats(in_.cols)),
        elementwise_(elementwise_kernels(chosen_isa())) {
    const int n = in_.cols;
    const int n_taps = windows_.elements(1);
    const std::vector<int8_t> weight = weight_codes(attributes, in_.set, n, n_taps);
    scale_ = attributes.f32("scale", {n});
    bias_ = attributes.f32("bias", {n});
    weight_.resize(weight.size());
    for (int c = 0; c < n; ++c) {
      int32_t sum = 0;
      for (int k = 0; k < n_taps; ++k) {
        const int8_t w = weight[static_cast<size_t>(c) * n_taps + k];
        weight_[static_cast<size_t>(k) * n + c] = w;
        sum += w;
      }
      offset_.push_back(in_.set.low() * sum);
    }
  }

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return windows_.count(inputs[0]);
  }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    const int n = in_.cols;
    const int step = in_.set.step();
    Value y = work.make(type_, windows_.count(x.rows));
    parallel_for(y.rows, kRowsPerRange, work.n_threads, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> dot(n);
      std::vector<uint8_t> padded;
      for (int64_t t = begin; t < end; ++t) {
        elementwise_.channel_dots(window(x, t, padded), weight_.data(), n, windows_.kernel,
                                  dot.data());
        elementwise_.scale_sums(dot.data(), step, offset_.data(), scale_.data(), bias_.data(),
                                y.row(t), n);
      }
    });
    return y;
  }

 private:
  // The window of output t: in the input, or a copy with padding.
  const uint8_t* window(const Value& x, int64_t t, std::vector<uint8_t>& padded) const {
    const int64_t start = t * windows_.stride - windows_.pad_left;
    if (start >= 0 && start + windows_.kernel <= x.rows) return x.codes_row(start);
    padded.assign(static_cast<size_t>(windows_.kernel) * in_.cols,
                  static_cast<uint8_t>(in_.set.padding()));
    const int64_t first = std::max<int64_t>(0, start);
    const int64_t last = std::min<int64_t>(x.rows, start + windows_.kernel);
    if (first < last) {
      std::copy_n(x.codes_row(first), (last - first) * in_.cols,
                  padded.data() + (first - start) * in_.cols);
    }
    return padded.data();
  }

  Windows windows_;
  Type in_;
  Type type_;
  const ElementwiseKernels& elementwise_;
  std::vector<int16_t> weight_;  // tap by tap
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> offset_;
};

}  // namespace

std::unique_ptr<Op> make_depthwise_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(inputs, 1);
  return std::make_unique<DepthwiseI8>(inputs, attributes);
}

}  // namespace earbit
