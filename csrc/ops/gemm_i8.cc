// gemm_i8 and conv_i8: weights and inputs are codes of 1 to 8 bits each.
//
// The value of an input code u is low + step * u, so with the sums s of the kernel over u
//   dot = step * s + low * (the sum of the output's weights),  y = scale * dot + bias.
// Padding frames are the code 0, or the lower value of a set without zero, as in training.
// The file packs the codes of the weights of an output, 8 / weight_bits per byte.
#include "kernels/gemm_i8.h"

#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/row_op.h"
#include "kernels/elementwise.h"
#include "ops/weight_codes.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class GemmI8 : public RowOp {
 public:
  GemmI8(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        in_(inputs[0]),
        groups_(attributes.integer("groups", 1, std::max(1, inputs[0].cols))),
        elementwise_(elementwise_kernels(chosen_isa())) {
    const int n_out = outputs_of(attributes);
    if (in_.cols % groups_ != 0 || n_out % groups_ != 0) {
      throw std::invalid_argument("groups=" + std::to_string(groups_) + " must divide " +
                                  std::to_string(in_.cols) + " channels in and " +
                                  std::to_string(n_out) + " out");
    }
    type_ = Type::floats(n_out);
    const int n_k = windows_.elements(in_.cols / groups_);
    const std::vector<int8_t> weight = weight_codes(attributes, in_.set, n_out, n_k);
    scale_ = attributes.f32("scale", {n_out});
    bias_ = attributes.f32("bias", {n_out});
    for (int j = 0; j < n_out; ++j) {
      int32_t sum = 0;
      for (int k = 0; k < n_k; ++k) sum += weight[static_cast<size_t>(j) * n_k + k];
      offset_.push_back(in_.set.low() * sum);
    }
    const int per_group = n_out / groups_;
    for (int g = 0; g < groups_; ++g) {
      panels_.emplace_back(gemm_i8_kernel_for(chosen_isa(), per_group),
                           weight.data() + static_cast<size_t>(g) * per_group * n_k, n_k, per_group,
                           n_k);
    }
  }

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return windows_.count(inputs[0]);
  }

  bool is_row_by_row() const override { return false; }

  int64_t block_rows(int64_t n, int n_threads) const override {
    return even_grain(n, 4 * rows_at_once(), panels_[0].kernel().rows, n_threads);
  }

  std::vector<Value> prepared(const std::vector<Value>& inputs,
                              const Workspace& work) const override {
    const bool is_direct = groups_ == 1 && !windows_.is_padded();
    return {is_direct ? inputs[0] : grouped(inputs[0], work)};
  }

  void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                const Value& y) const override {
    const int64_t step = rows_at_once();
    const auto sums = std::make_unique_for_overwrite<int32_t[]>(step * panels_[0].padded_cols());
    for (int64_t i = begin; i < end; i += step) {
      const int n = static_cast<int>(std::min(step, end - i));
      for (int g = 0; g < groups_; ++g) multiply(inputs[0], g, i, n, sums.get(), y);
    }
  }

 private:
  // Rows per reading of a panel: those of a few kernel calls, whose sums stay in L2.
  int64_t rows_at_once() const { return int64_t{4} * panels_[0].kernel().rows; }

  // Contiguous channels of every group, group by group, with frames of padding before and after.
  Value grouped(const Value& x, const Workspace& work) const {
    const int n_in = in_.cols / groups_;
    const int64_t rows = x.rows + windows_.pad_left + windows_.pad_right;
    Value y = work.make(in_, rows);
    const auto zero = static_cast<uint8_t>(in_.set.padding());
    uint8_t* out = y.codes.get();
    for (int g = 0; g < groups_; ++g) {
      out = std::fill_n(out, int64_t{windows_.pad_left} * n_in, zero);
      for (int64_t t = 0; t < x.rows; ++t) {
        out = std::copy_n(x.codes_row(t) + g * n_in, n_in, out);
      }
      out = std::fill_n(out, int64_t{windows_.pad_right} * n_in, zero);
    }
    return y;
  }

  void multiply(const Value& x, int g, int64_t first, int n, int32_t* sums, const Value& y) const {
    const int n_in = in_.cols / groups_;
    const int n_out = type_.cols / groups_;
    const ptrdiff_t stride = static_cast<ptrdiff_t>(windows_.stride) * n_in;
    const PanelsI8& panels = panels_[g];
    panels.run(x.codes.get() + g * x.rows * n_in + first * stride, stride, n, sums);
    const int step = in_.set.step();
    const int32_t* offset = offset_.data() + g * n_out;
    for (int i = 0; i < n; ++i) {
      elementwise_.scale_sums(sums + static_cast<ptrdiff_t>(i) * panels.padded_cols(), step, offset,
                              scale_.data() + g * n_out, bias_.data() + g * n_out,
                              y.row(first + i) + g * n_out, n_out);
    }
  }

  Windows windows_;
  Type in_;
  int groups_;
  const ElementwiseKernels& elementwise_;
  Type type_;
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> offset_;
  std::vector<PanelsI8> panels_;
};

}  // namespace

std::unique_ptr<Op> make_gemm_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(inputs, 1);
  return std::make_unique<GemmI8>(inputs, attributes);
}

std::unique_ptr<Op> make_conv_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  return make_gemm_i8(inputs, attributes);
}

}  // namespace earbit
