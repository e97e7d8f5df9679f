// waveform_bits: first layer of a front end, from samples to bits in one pass.
//
//   z = norm(y) over time, y[t][c] = sum_k w[c][k] x[stride t + k],  bit = z >= threshold[c]
//
// The convolution is linear with few taps, so the means and variances of all channels follow from
// the mean m[k] of the samples under every tap and their mean products r[k][l], in double
// precision: mean(y) = w m, var(y) = w (r - m m^T) w^T.  They are known before y is computed, so
// the gain of the norm is folded into the taps and its offset into the threshold, and y is never
// stored.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/thread_pool.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class WaveformBits : public Op {
 public:
  WaveformBits(const std::vector<Type>& inputs, Attributes& attributes)
      : n_taps_(attributes.integer("kernel", 1, kMaxTaps)),
        stride_(attributes.integer("stride", 1, 1 << 20)),
        n_out_(outputs_of(attributes)),
        eps_(attributes.positive("eps")),
        type_(Type::bits(1, n_out_)),
        weight_(attributes.f32("weight", {n_out_, n_taps_})),
        norm_weight_(attributes.f32("norm_weight", {n_out_})),
        norm_bias_(attributes.f32("norm_bias", {n_out_})),
        threshold_(attributes.f32("threshold", {n_out_})),
        elementwise_(elementwise_kernels(chosen_isa())) {
    if (inputs[0].cols != 1) {
      throw std::invalid_argument("an input of " + std::to_string(inputs[0].cols) +
                                  " columns; samples have one");
    }
  }

  const Type& type() const override { return type_; }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    return Windows{n_taps_, stride_, 0, 0}.count(inputs[0]);
  }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    Value y = work.make(type_, rows({inputs[0].rows}));
    const float* x = inputs[0].floats.get();
    const Taps taps = normed(moments(x, y.rows, work.n_threads));
    parallel_for(y.rows, kBlockRows, work.n_threads, [&](int64_t begin, int64_t end) {
      // A panel of taps stays in L1 for all rows of a block.
      for (int column = 0; column < n_out_; column += kFirCols) {
        elementwise_.fir_bits(x + begin * stride_, stride_, end - begin,
                              taps.panels.data() + static_cast<size_t>(column) * n_taps_, n_taps_,
                              taps.threshold.data() + column,
                              y.group(0) + begin * type_.words() + column / kWordBits,
                              type_.words());
      }
    });
    return y;
  }

 private:
  static_assert(kFirCols == kWordBits);
  static constexpr int64_t kBlockRows = 96;
  static constexpr int64_t kMomentRows = 4096;

  // Means of the samples under every tap and of their products, (n_taps, n_taps).
  struct Moments {
    std::vector<double> mean;
    std::vector<double> product;
  };

  // Taps multiplied by the gain of the norm, in panels (n_taps, kFirCols), and their thresholds;
  // the thresholds of padding channels are never reached.
  struct Taps {
    std::vector<float> panels;
    std::vector<float> threshold;
  };

  // Blocks of fixed size are added in order, so the sums do not depend on threads.
  Moments moments(const float* x, int64_t n_rows, int n_threads) const {
    const int64_t n_blocks = (n_rows + kMomentRows - 1) / kMomentRows;
    const size_t n = static_cast<size_t>(n_taps_) * (n_taps_ + 1);
    std::vector<double> sums(n_blocks * n, 0.0);
    parallel_for(n_blocks, 1, n_threads, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * kMomentRows;
        elementwise_.add_moments(x + first * stride_, stride_,
                                 std::min(kMomentRows, n_rows - first), n_taps_,
                                 sums.data() + block * n);
      }
    });
    std::vector<double> total(n, 0.0);
    for (int64_t block = 0; block < n_blocks; ++block) {
      for (size_t i = 0; i < n; ++i) total[i] += sums[block * n + i];
    }
    for (double& value : total) value /= static_cast<double>(n_rows);
    return {{total.begin(), total.begin() + n_taps_}, {total.begin() + n_taps_, total.end()}};
  }

  Taps normed(const Moments& moments) const {
    const size_t n_panels = words_for(n_out_);
    Taps taps{std::vector<float>(n_panels * kFirCols * n_taps_),
              std::vector<float>(n_panels * kFirCols, std::numeric_limits<float>::quiet_NaN())};
    for (int c = 0; c < n_out_; ++c) {
      const float* w = weight_.data() + static_cast<size_t>(c) * n_taps_;
      double mean = 0;
      double variance = 0;
      for (int k = 0; k < n_taps_; ++k) {
        mean += w[k] * moments.mean[k];
        for (int l = 0; l < n_taps_; ++l) {
          const double covariance =
              moments.product[k * n_taps_ + l] - moments.mean[k] * moments.mean[l];
          variance += w[k] * covariance * w[l];
        }
      }
      const double gain = norm_weight_[c] / std::sqrt(std::max(variance, 0.0) + eps_);
      float* panel = taps.panels.data() + static_cast<size_t>(c / kFirCols) * kFirCols * n_taps_;
      for (int k = 0; k < n_taps_; ++k) {
        panel[k * kFirCols + c % kFirCols] = static_cast<float>(w[k] * gain);
      }
      taps.threshold[c] = static_cast<float>(threshold_[c] - (norm_bias_[c] - mean * gain));
    }
    return taps;
  }

  int n_taps_;
  int stride_;
  int n_out_;
  float eps_;
  Type type_;
  std::vector<float> weight_;
  std::vector<float> norm_weight_;
  std::vector<float> norm_bias_;
  std::vector<float> threshold_;
  const ElementwiseKernels& elementwise_;
};

}  // namespace

std::unique_ptr<Op> make_waveform_bits(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<WaveformBits>(inputs, attributes);
}

}  // namespace earbit
