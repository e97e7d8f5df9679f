// silu: x sigmoid(x).  glu: the left half of the columns times the sigmoid of the right half.
#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/exp.h"

namespace earbit {
namespace {

class Silu : public Op {
 public:
  explicit Silu(const Type& type) : type_(type) {}

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    constexpr int64_t kGrain = 16384;
    Value y = work.buffer_of(inputs[0]);
    const float* in = inputs[0].floats.get();
    float* out = y.floats.get();
    parallel_for(y.size(), kGrain, work.n_threads, [&](int64_t begin, int64_t end) {
      exp_kernels(chosen_isa()).silu(in + begin, out + begin, end - begin);
    });
    return y;
  }

 private:
  Type type_;
};

class Glu : public Op {
 public:
  explicit Glu(const Type& input) : type_(Type::floats(input.cols / 2)) {
    if (input.cols % 2 != 0) {
      throw std::invalid_argument("glu of " + std::to_string(input.cols) +
                                  " columns; they must be even");
    }
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    constexpr int64_t kGrainRows = 64;
    const Value& x = inputs[0];
    Value y = work.make(type_, x.rows);
    parallel_for(x.rows, kGrainRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        exp_kernels(chosen_isa()).gate(x.row(i), x.row(i) + type_.cols, y.row(i), type_.cols);
      }
    });
    return y;
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_silu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Silu>(inputs[0]);
}

std::unique_ptr<Op> make_glu(const std::vector<Type>& inputs, Attributes&) {
  expect_floats(inputs, 1);
  return std::make_unique<Glu>(inputs[0]);
}

}  // namespace earbit
