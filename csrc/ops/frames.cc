// Ops that follow the number of frames.
// sinusoids: n frames of anything become a row for every distance n - 1, ..., 0, ..., -(n - 1),
//   sin and cos of distance * frequency side by side.
// repeat: every frame a few times over, cut to the frames of a second value.
#include <algorithm>
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"

namespace earbit {
namespace {

constexpr int64_t kGrainRows = 64;

class Sinusoids : public Op {
 public:
  explicit Sinusoids(Attributes& attributes)
      : type_(Type::floats(attributes.integer("columns", 1, 1 << 20))),
        frequency_(attributes.f32("frequency", {(type_.cols + 1) / 2})) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override { return 2 * inputs[0] - 1; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    Value y = work.make(type_, 2 * n - 1);
    parallel_for(y.rows, kGrainRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = y.row(i);
        for (int j = 0; j < type_.cols; ++j) {
          const float angle = static_cast<float>(n - 1 - i) * frequency_[j / 2];
          row[j] = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
        }
      }
    });
    return y;
  }

 private:
  Type type_;
  std::vector<float> frequency_;
};

class Repeat : public Op {
 public:
  Repeat(const Type& type, Attributes& attributes)
      : type_(type), times_(attributes.integer("times", 1, 1 << 10)) {}

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override { return inputs[1]; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    const int64_t n = inputs[1].rows;
    if (n > x.rows * times_) {
      throw std::invalid_argument("repeat of " + std::to_string(x.rows) + " frames, " +
                                  std::to_string(times_) + " times, to " + std::to_string(n));
    }
    Value y = work.make(type_, n);
    parallel_for(n, kGrainRows, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) std::copy_n(x.row(i / times_), type_.cols, y.row(i));
    });
    return y;
  }

 private:
  Type type_;
  int times_;
};

}  // namespace

std::unique_ptr<Op> make_sinusoids(const std::vector<Type>& inputs, Attributes& attributes) {
  if (inputs.size() != 1) {
    throw std::invalid_argument(std::to_string(inputs.size()) + " inputs, expected 1");
  }
  return std::make_unique<Sinusoids>(attributes);
}

std::unique_ptr<Op> make_repeat(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 2);
  return std::make_unique<Repeat>(inputs[0], attributes);
}

}  // namespace earbit
