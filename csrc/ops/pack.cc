// pack: floats to bits, bit = x >= threshold of its channel.
#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/lanes.h"
#include "ops/pack_row.h"

namespace earbit {
namespace {

class Pack : public Op {
 public:
  Pack(const std::vector<Type>& inputs, Attributes& attributes) {
    const int n = inputs[0].cols;
    const int groups = attributes.integer("groups", 1, std::max(1, n));
    if (n % groups != 0) {
      throw std::invalid_argument("groups=" + std::to_string(groups) + " must divide " +
                                  std::to_string(n) + " channels");
    }
    type_ = Type::bits(groups, n / groups);
    threshold_ = attributes.f32("threshold", {n});
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    Value y = work.make(type_, x.rows);
    const LaneKernels& lanes = lane_kernels(chosen_isa());
    parallel_for(x.rows, 64, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        pack_row(lanes.at_least_f32, x.row(i), threshold_.data(), i, y);
      }
    });
    return y;
  }

 private:
  Type type_;
  std::vector<float> threshold_;
};

}  // namespace

std::unique_ptr<Op> make_pack(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<Pack>(inputs, attributes);
}

}  // namespace earbit
