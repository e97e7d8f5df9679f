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

  Needs needs(size_t) const override {
    Needs needs = windows_.needs(0);
    needs.is_by_columns = groups_ > 1;
    return needs;
  }

  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::f32,
            static_cast<double>(rows(inputs)) * windows_.kernel * (n_in_ / groups_) * type_.cols};
  }

  int n_column_groups() const override { return groups_; }
  BlockRows block_rows() const override { return {kBlockRows, panels_[0].kernel_rows()}; }

  void run_rows(const Block& block) const override {
    const int g = block.column_group;
    const int n_out = type_.cols / groups_;
    const View& x = block.inputs[0];
    panels_[g].run(x.row(windows_.first(block.rows.begin)),
                   static_cast<ptrdiff_t>(windows_.stride) * x.type.cols, block.rows.size(),
                   bias_.empty() ? nullptr : bias_.data() + g * n_out,
                   block.y.row(block.rows.begin) + g * n_out, type_.cols);
  }

 private:
  static constexpr int64_t kBlockRows = 72;

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
