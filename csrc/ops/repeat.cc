// repeat: repeats every frame and truncates to the number of frames of a second input.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"

namespace earbit {
namespace {

class Repeat : public Op {
 public:
  Repeat(const Type& type, Attributes& attributes)
      : type_(type), times_(attributes.integer("times", 1, 1 << 10)) {}

  const Type& type() const override { return type_; }

  size_t rows_from() const override { return 1; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    const int64_t n = inputs[1].rows;
    if (n > x.rows * times_) {
      throw std::invalid_argument("repeat of " + std::to_string(x.rows) + " frames, " +
                                  std::to_string(times_) + " times, to " + std::to_string(n));
    }
    Value y = work.make(type_, n);
    parallel_for(n, kRowsPerRange, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) std::copy_n(x.row(i / times_), type_.cols, y.row(i));
    });
    return y;
  }

 private:
  Type type_;
  int times_;
};

}  // namespace

std::unique_ptr<Op> make_repeat(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 2);
  return std::make_unique<Repeat>(inputs[0], attributes);
}

}  // namespace earbit
