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
        panels_(panels_of(input, attributes)),
        ones_(type_.cols, 1.0f) {}

  const Type& type() const override { return type_; }

  // The forward direction passes a state on, the reverse one begins with the last row.
  Needs needs(size_t) const override { return is_reverse_ ? Needs::all() : Needs::row(); }
  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::f32,
            static_cast<double>(rows(inputs)) * kGates * type_.cols * type_.cols};
  }

  Order order() const override { return is_reverse_ ? Order::backward : Order::forward; }
  BlockRows block_rows() const override { return {64, 1}; }

  std::unique_ptr<State> start(std::span<const View>) const override {
    return std::make_unique<Cells>(type_.cols);
  }

  void run_rows(const Block& block) const override {
    const int n = type_.cols;
    auto* cells = static_cast<Cells*>(block.state);
    float* gates = block.scratch.take<float>(kGates * n);
    for (int64_t i = 0; i < block.rows.size(); ++i) {
      const int64_t t = is_reverse_ ? block.rows.end - 1 - i : block.rows.begin + i;
      panels_.run(cells->output.data(), n, 1, block.inputs[0].row(t), gates, kGates * n);
      step(gates, cells->cell.data(), cells->output.data());
      std::copy_n(cells->output.data(), n, block.y.row(t));
    }
  }

 private:
  // What a row leaves for the next one.
  struct Cells : State {
    explicit Cells(int n) : cell(n, 0.0f), output(n, 0.0f) {}

    std::vector<float> cell;
    std::vector<float> output;
  };

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
  void step(float* gates, float* cell, float* out) const {
    const int n = type_.cols;
    const float* ones = ones_.data();
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
  std::vector<float> ones_;
};

}  // namespace

std::unique_ptr<Op> make_lstm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<Lstm>(inputs[0], attributes);
}

}  // namespace earbit
