// group_norm: every channel over all frames.  layer_norm: every frame over its channels.
// y = (x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance, in two passes.
#include <cmath>

#include "cpu/thread_pool.h"
#include "graph/op.h"

namespace earbit {
namespace {

constexpr int kGrainRows = 64;

// The buffer of an input that nobody else holds, else a new one of the same shape.
Value like(const Value& x) { return x.floats.use_count() == 1 ? x : Value::make(x.type, x.rows); }

class Norm : public Op {
 public:
  Norm(const std::vector<Type>& inputs, Attributes& attributes)
      : type_(inputs[0]),
        weight_(attributes.f32("weight", {type_.cols})),
        bias_(attributes.f32("bias", {type_.cols})),
        eps_(attributes.number("eps")) {
    if (!(eps_ > 0)) throw std::invalid_argument("eps must be above 0");
  }

  const Type& type() const override { return type_; }

 protected:
  Type type_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  float eps_;
};

class GroupNorm : public Norm {
 public:
  using Norm::Norm;

  Value run(const std::vector<Value>& inputs, int n_threads) const override {
    const Value& x = inputs[0];
    const int n = type_.cols;
    // Channels are split over threads, so every sum runs in the order of time.
    std::vector<float> gain(n);
    std::vector<float> offset(n);
    parallel_for(n, 64, n_threads, [&](int64_t begin, int64_t end) {
      const auto width = static_cast<size_t>(end - begin);
      std::vector<double> mean(width, 0.0);
      std::vector<double> square(width, 0.0);
      sum_rows(x, begin, end, nullptr, mean.data());
      for (double& value : mean) value /= static_cast<double>(x.rows);
      sum_rows(x, begin, end, mean.data(), square.data());
      for (size_t j = 0; j < width; ++j) {
        const double variance = square[j] / static_cast<double>(x.rows);
        const double scale = weight_[begin + j] / std::sqrt(variance + eps_);
        gain[begin + j] = static_cast<float>(scale);
        offset[begin + j] = static_cast<float>(bias_[begin + j] - mean[j] * scale);
      }
    });
    Value y = like(x);
    parallel_for(x.rows, kGrainRows, n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* in = x.row(i);
        float* out = y.row(i);
        for (int j = 0; j < n; ++j) out[j] = in[j] * gain[j] + offset[j];
      }
    });
    return y;
  }

 private:
  // Sums over time of x, or of the squared distance from `centre`, for channels [begin, end).
  // Short runs are summed in float, then added to the double: fast and exact enough.
  static void sum_rows(const Value& x, int64_t begin, int64_t end, const double* centre,
                       double* total) {
    constexpr int64_t kRun = 64;
    const auto width = static_cast<size_t>(end - begin);
    std::vector<float> part(width);
    std::vector<float> middle(width, 0.0f);
    for (size_t j = 0; j < width && centre != nullptr; ++j)
      middle[j] = static_cast<float>(centre[j]);
    for (int64_t first = 0; first < x.rows; first += kRun) {
      std::fill(part.begin(), part.end(), 0.0f);
      for (int64_t i = first; i < std::min(first + kRun, x.rows); ++i) {
        const float* in = x.row(i) + begin;
        if (centre == nullptr) {
          for (size_t j = 0; j < width; ++j) part[j] += in[j];
        } else {
          for (size_t j = 0; j < width; ++j) part[j] += (in[j] - middle[j]) * (in[j] - middle[j]);
        }
      }
      for (size_t j = 0; j < width; ++j) total[j] += part[j];
    }
  }
};

class LayerNorm : public Norm {
 public:
  using Norm::Norm;

  Value run(const std::vector<Value>& inputs, int n_threads) const override {
    const Value& x = inputs[0];
    Value y = like(x);
    const int n = type_.cols;
    parallel_for(x.rows, kGrainRows, n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* in = x.row(i);
        float* out = y.row(i);
        const float mean = sum(n, [&](int j) { return in[j]; }) / static_cast<float>(n);
        const float square = sum(n, [&](int j) { return (in[j] - mean) * (in[j] - mean); });
        const float scale = 1.0f / std::sqrt(square / static_cast<float>(n) + eps_);
        for (int j = 0; j < n; ++j) out[j] = (in[j] - mean) * scale * weight_[j] + bias_[j];
      }
    });
    return y;
  }

 private:
  // A sum in 16 lanes, which the compiler can vectorise without changing its order.
  template <typename Term>
  static float sum(int n, Term&& term) {
    constexpr int kLanes = 16;
    float lane[kLanes] = {};
    int j = 0;
    for (; j + kLanes <= n; j += kLanes) {
      for (int l = 0; l < kLanes; ++l) lane[l] += term(j + l);
    }
    float total = 0;
    for (; j < n; ++j) total += term(j);
    for (float value : lane) total += value;
    return total;
  }
};

}  // namespace

std::unique_ptr<Op> make_group_norm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<GroupNorm>(inputs, attributes);
}

std::unique_ptr<Op> make_layer_norm(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<LayerNorm>(inputs, attributes);
}

}  // namespace earbit
