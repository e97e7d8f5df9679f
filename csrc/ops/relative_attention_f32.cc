// relative_attention_f32: softmax over j of score_scale * [(q_i + u) k_j + (q_i + v) r_(i-j)],
// times values, per head.  Row m of r is distance n - 1 - m of n frames.
//
// A block of query rows is multiplied with all keys, and with the distances that any of them sees:
// frames and block rows together, never all 2 n - 1 for every query.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

constexpr int64_t kBlockRows = 48;

class RelativeAttentionF32 : public Op {
 public:
  RelativeAttentionF32(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        score_scale_(attributes.number("score_scale")),
        content_bias_(attributes.f32("content_bias", {type_.cols})),
        position_bias_(attributes.f32("position_bias", {type_.cols})),
        exp_(exp_kernels(chosen_isa())) {
    if (!(score_scale_ > 0)) throw std::invalid_argument("score_scale must be above 0");
    for (const Type& input : inputs) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument("q, k, v and r must have the same width, a multiple of heads=" +
                                    std::to_string(heads_));
      }
    }
  }

  const Type& type() const override { return type_; }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const int64_t n = inputs[0].rows;
    if (inputs[1].rows != n || inputs[2].rows != n || inputs[3].rows != 2 * n - 1) {
      throw std::invalid_argument("q, k and v must have the same n frames, and r 2 n - 1 rows");
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
    const auto n = static_cast<int>(inputs[0].rows);
    const auto n_rows = static_cast<int>(std::min<int64_t>(kBlockRows, n - first));
    const int width = type_.cols;
    const int d = width / heads_;
    std::vector<float> scores = products(inputs[0].row(first) + h * d, n_rows,
                                         content_bias_.data() + h * d, inputs[1].row(0) + h * d, n);
    // Distances from that of the last row and the first key to that of the first row and the last.
    const int n_distances = n + n_rows - 1;
    const std::vector<float> by_distance =
        products(inputs[0].row(first) + h * d, n_rows, position_bias_.data() + h * d,
                 inputs[3].row(n - first - n_rows) + h * d, n_distances);
    for (int i = 0; i < n_rows; ++i) {
      float* row = scores.data() + static_cast<size_t>(i) * n;
      const float* shifted =
          by_distance.data() + static_cast<size_t>(i) * n_distances + n_rows - 1 - i;
      for (int j = 0; j < n; ++j) row[j] = (row[j] + shifted[j]) * score_scale_;
      const float sum = exp_.exp_below(row, exp_.most(row, n), n);
      for (int j = 0; j < n; ++j) row[j] /= sum;
    }
    std::vector<float> v(static_cast<size_t>(d) * n);
    for (int j = 0; j < n; ++j) {
      const float* row = inputs[2].row(j) + h * d;
      for (int c = 0; c < d; ++c) v[static_cast<size_t>(c) * n + j] = row[c];
    }
    const PanelsF32 values(gemm_f32_kernel(chosen_isa()), v.data(), n, d, n);
    values.run(scores.data(), n, n_rows, nullptr, y.row(first) + h * d, width, 1);
  }

  // (q + bias) of every row times every row of `right`: (n_rows, n_right).
  std::vector<float> products(const float* q, int n_rows, const float* bias, const float* right,
                              int n_right) const {
    const int d = type_.cols / heads_;
    std::vector<float> left(static_cast<size_t>(n_rows) * d);
    for (int i = 0; i < n_rows; ++i) {
      for (int c = 0; c < d; ++c) {
        left[static_cast<size_t>(i) * d + c] =
            q[static_cast<ptrdiff_t>(i) * type_.cols + c] + bias[c];
      }
    }
    const PanelsF32 panels(gemm_f32_kernel(chosen_isa()), right, type_.cols, n_right, d);
    std::vector<float> y(static_cast<size_t>(n_rows) * n_right);
    panels.run(left.data(), d, n_rows, nullptr, y.data(), n_right, 1);
    return y;
  }

  Type type_;
  int heads_;
  float score_scale_;
  std::vector<float> content_bias_;
  std::vector<float> position_bias_;
  const ExpKernels& exp_;
};

}  // namespace

std::unique_ptr<Op> make_relative_attention_f32(const std::vector<Type>& inputs,
                                                Attributes& attributes) {
  expect_floats(inputs, 4);
  return std::make_unique<RelativeAttentionF32>(inputs, attributes);
}

}  // namespace earbit
