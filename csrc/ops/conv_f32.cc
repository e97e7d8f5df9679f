// conv_f32: convolution over time, y[t] = bias + sum over taps and channels of w * x.
// A linear layer has a kernel of one frame.  Windows are overlapping rows of a matrix product.
#include <algorithm>

#include "graph/op.h"
#include "kernels/gemm_f32.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class ConvF32 : public Op {
 public:
  ConvF32(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        n_in_(inputs[0].cols),
        groups_(attributes.integer("groups", 1, std::max(1, n_in_))) {
    const int n_out = outputs_of(attributes);
    if (n_in_ % groups_ != 0 || n_out % groups_ != 0) {
      throw std::invalid_argument("groups=" + std::to_string(groups_) + " must divide " +
                                  std::to_string(n_in_) + " channels in and " +
                                  std::to_string(n_out) + " out");
    }
    type_ = Type::floats(n_out);
    const int n_k = windows_.elements(n_in_ / groups_);
    const Elements<float> weight = attributes.f32("weight", {n_out, n_k});
    if (attributes.has_tensor("bias")) bias_ = attributes.f32("bias", {n_out});
    const int per_group = n_out / groups_;
    for (int g = 0; g < groups_; ++g) {
      panels_.emplace_back(gemm_f32_kernel(chosen_isa()),
                           weight.data() + static_cast<size_t>(g) * per_group * n_k, n_k, per_group,
                           n_k);
    }
  }

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return windows_.count(inputs[0]);
  }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    Value y = work.make(type_, windows_.count(x.rows));
    const int n_in = n_in_ / groups_;
    const int n_out = type_.cols / groups_;
    const int64_t padded = x.rows + windows_.pad_left + windows_.pad_right;
    const bool is_direct = groups_ == 1 && !windows_.is_padded();
    // Contiguous channels of one group, with frames of zeros before and after.
    const Value copy = work.make(Type::floats(n_in), is_direct ? 0 : padded);
    std::fill_n(copy.floats.get(), copy.size(), 0.0f);
    for (int g = 0; g < groups_; ++g) {
      const float* a = x.floats.get();
      if (!is_direct) {
        for (int64_t t = 0; t < x.rows; ++t) {
          std::copy_n(x.row(t) + g * n_in, n_in, copy.row(t + windows_.pad_left));
        }
        a = copy.floats.get();
      }
      const float* bias = bias_.empty() ? nullptr : bias_.data() + g * n_out;
      panels_[g].run(a, static_cast<ptrdiff_t>(windows_.stride) * n_in, y.rows, bias,
                     y.floats.get() + g * n_out, type_.cols, work.n_threads);
    }
    return y;
  }

 private:
  Windows windows_;
  int n_in_;
  int groups_;
  Type type_;
  std::vector<float> bias_;
  std::vector<PanelsF32> panels_;
};

}  // namespace

std::unique_ptr<Op> make_conv_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<ConvF32>(inputs, attributes);
}

}  // namespace earbit
