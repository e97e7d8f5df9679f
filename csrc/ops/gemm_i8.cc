// gemm_i8, which is also conv_i8: weights and inputs are codes of 1 to 8 bits each.
//
// The value of an input code u is low + step * u, so with the sums s of the kernel over u
//   dot = step * s + low * (the sum of the output's weights),  y = scale * dot + bias.
// Padding frames are the code 0, or the lower value of a set without zero, as in training.
// The file packs the codes of the weights of an output, 8 / weight_bits per byte.
#include "kernels/gemm_i8.h"

#include <algorithm>

#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/weight_codes.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class GemmI8 : public Op {
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

  Needs needs(size_t) const override {
    Needs needs = windows_.needs(static_cast<unsigned char>(in_.set.padding()));
    needs.is_by_columns = groups_ > 1;
    return needs;
  }

  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::i8, static_cast<double>(rows(inputs)) * windows_.kernel *
                                    (in_.cols / groups_) * type_.cols};
  }

  int n_column_groups() const override { return groups_; }
  BlockRows block_rows() const override { return {4 * rows_at_once(), panels_[0].kernel().rows}; }

  void run_rows(const Block& block) const override {
    const int64_t step = rows_at_once();
    auto* sums = block.scratch.take<int32_t>(step * panels_[0].padded_cols());
    for (int64_t i = block.rows.begin; i < block.rows.end; i += step) {
      multiply(block, i, static_cast<int>(std::min(step, block.rows.end - i)), sums);
    }
  }

 private:
  // Rows per reading of a panel: those of a few kernel calls, whose sums stay in L2.
  int64_t rows_at_once() const { return int64_t{4} * panels_[0].kernel().rows; }

  void multiply(const Block& block, int64_t first, int n, int32_t* sums) const {
    const View& x = block.inputs[0];
    const int n_out = type_.cols / groups_;
    const int at = block.column_group * n_out;
    const PanelsI8& panels = panels_[block.column_group];
    panels.run(x.codes_row(windows_.first(first)),
               static_cast<ptrdiff_t>(windows_.stride) * x.type.cols, n, sums);
    for (int i = 0; i < n; ++i) {
      elementwise_.scale_sums(sums + static_cast<ptrdiff_t>(i) * panels.padded_cols(),
                              in_.set.step(), offset_.data() + at, scale_.data() + at,
                              bias_.data() + at, block.y.row(first + i) + at, n_out);
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

}  // namespace earbit
