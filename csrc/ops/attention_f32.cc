// attention_f32: softmax(score_scale * q k^T) v per head, over all frames or a window.
// A block of query rows is multiplied with the keys that any of them sees.
#include <algorithm>
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

constexpr int64_t kBlockRows = 48;

class AttentionF32 : public Op {
 public:
  AttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        radius_(attributes.integer("radius", -1, 1 << 30)),
        score_scale_(attributes.number("score_scale")) {
    if (!(score_scale_ > 0)) throw std::invalid_argument("score_scale must be above 0");
    for (const Type& input : inputs) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument("q, k and v must have the same width, a multiple of heads=" +
                                    std::to_string(heads_));
      }
    }
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n) {
      throw std::invalid_argument("q, k and v have different numbers of frames");
    }
    Value y = work.make(type_, n);
    const int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
    parallel_for(heads_ * n_blocks, 1, work.n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        run_block(inputs, static_cast<int>(task / n_blocks), task % n_blocks * kBlockRows, y);
      }
    });
    return y;
  }

 private:
  void run_block(const std::vector<Value>& inputs, int h, int64_t first, Value& y) const {
    const int64_t n = inputs[0].rows;
    const int64_t last = std::min(n, first + kBlockRows);
    const int64_t low = radius_ < 0 ? 0 : std::max<int64_t>(0, first - radius_);
    const int64_t high = radius_ < 0 ? n : std::min<int64_t>(n, last + int64_t{radius_});
    const auto n_keys = static_cast<int>(high - low);
    const int width = type_.cols;
    const int d = width / heads_;
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());

    const PanelsF32 keys(kernel, inputs[1].row(low) + h * d, width, n_keys, d);
    std::vector<float> scores(static_cast<size_t>(last - first) * n_keys);
    keys.run(inputs[0].row(first) + h * d, width, last - first, nullptr, scores.data(), n_keys, 1);
    for (int64_t i = first; i < last; ++i) {
      const int64_t from = (radius_ < 0 ? 0 : std::max<int64_t>(0, i - radius_)) - low;
      const int64_t to = (radius_ < 0 ? n : std::min<int64_t>(n, i + radius_ + int64_t{1})) - low;
      softmax(scores.data() + (i - first) * n_keys, from, to, n_keys);
    }
    std::vector<float> v(static_cast<size_t>(d) * n_keys);
    for (int j = 0; j < n_keys; ++j) {
      const float* row = inputs[2].row(low + j) + h * d;
      for (int c = 0; c < d; ++c) v[static_cast<size_t>(c) * n_keys + j] = row[c];
    }
    const PanelsF32 values(kernel, v.data(), n_keys, d, n_keys);
    values.run(scores.data(), n_keys, last - first, nullptr, y.row(first) + h * d, width, 1);
  }

  // Scores of one row to probabilities: over [from, to), zero elsewhere.
  void softmax(float* row, int64_t from, int64_t to, int n_keys) const {
    const float largest = *std::max_element(row + from, row + to);
    float sum = 0;
    for (int64_t j = from; j < to; ++j) {
      row[j] = std::exp(score_scale_ * (row[j] - largest));
      sum += row[j];
    }
    std::fill(row, row + from, 0.0f);
    for (int64_t j = from; j < to; ++j) row[j] /= sum;
    std::fill(row + to, row + n_keys, 0.0f);
  }

  Type type_;
  int heads_;
  int radius_;
  float score_scale_;
};

}  // namespace

std::unique_ptr<Op> make_attention_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 3);
  return std::make_unique<AttentionF32>(inputs, attributes);
}

}  // namespace earbit
