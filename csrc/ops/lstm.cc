// lstm: one direction of a long short-term memory over the frames.
//
// Reads the gates of every frame as the input alone gives them, with both biases: input, forget,
// cell and output gate side by side, as PyTorch orders them.  Each frame adds weight x h of the
// frame before it, or behind it in a reverse op:
// c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c).
#include <algorithm>
#include <vector>

#include "graph/op.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

constexpr int kGates = 4;

class Lstm : public Op {
 public:
  Lstm(const Type& input, Attributes& attributes)
      : type_(Type::floats(input.cols / kGates)),
        is_reverse_(attributes.integer("reverse", 0, 1) == 1),
        panels_(panels_of(input, attributes)) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    const int n = type_.cols;
    Value y = work.make(type_, x.rows);
    const Value state = work.make(Type::floats(n * (kGates + 3)), 1);
    float* gates = state.row(0);
    float* cell = gates + kGates * n;
    float* ones = cell + n;
    float* zeros = ones + n;
    std::fill_n(cell, n, 0.0f);
    std::fill_n(ones, n, 1.0f);
    std::fill_n(zeros, n, 0.0f);
    const float* before = zeros;
    for (int64_t i = 0; i < x.rows; ++i) {
      const int64_t t = is_reverse_ ? x.rows - 1 - i : i;
      panels_.run(before, n, 1, x.row(t), gates, kGates * n, 1);
      step(gates, ones, cell, y.row(t));
      before = y.row(t);
    }
    return y;
  }

 private:
  static PanelsF32 panels_of(const Type& input, Attributes& attributes) {
    if (input.cols % kGates != 0) {
      throw std::invalid_argument("lstm of " + std::to_string(input.cols) +
                                  " columns; they must be a multiple of 4");
    }
    const int n = input.cols / kGates;
    const Elements<float> weight = attributes.f32("weight", {input.cols, n});
    return {gemm_f32_kernel(chosen_isa()), weight.data(), n, input.cols, n};
  }

  // Writes h to `out` and updates the cell.
  void step(float* gates, const float* ones, float* cell, float* out) const {
    const int n = type_.cols;
    const ExpKernels& kernels = exp_kernels(chosen_isa());
    float* i = gates;
    float* f = i + n;
    float* g = f + n;
    float* o = g + n;
    kernels.gate(ones, i, i, n);
    kernels.gate(ones, f, f, n);
    kernels.gate(ones, o, o, n);
    tanh(ones, g, g);
    for (int j = 0; j < n; ++j) cell[j] = f[j] * cell[j] + i[j] * g[j];
    tanh(ones, cell, g);
    for (int j = 0; j < n; ++j) out[j] = o[j] * g[j];
  }

  // tanh(x) = 2 sigmoid(2 x) - 1; y may be x.
  void tanh(const float* ones, const float* x, float* y) const {
    const int n = type_.cols;
    for (int j = 0; j < n; ++j) y[j] = 2.0f * x[j];
    exp_kernels(chosen_isa()).gate(ones, y, y, n);
    for (int j = 0; j < n; ++j) y[j] = 2.0f * y[j] - 1.0f;
  }

  Type type_;
  bool is_reverse_;
  PanelsF32 panels_;
};

}  // namespace

std::unique_ptr<Op> make_lstm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<Lstm>(inputs[0], attributes);
}

}  // namespace earbit
