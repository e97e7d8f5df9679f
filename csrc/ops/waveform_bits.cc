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

  // The mean and variance of a channel are over all frames.
  Needs needs(size_t) const override { return Needs::all(); }

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    const int64_t n = inputs[0];
    if (n < n_taps_) {
      throw std::invalid_argument(std::to_string(n) + " frames are too few for a window of " +
                                  std::to_string(n_taps_));
    }
    return (n - n_taps_) / stride_ + 1;
  }

  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::f32, static_cast<double>(rows(inputs)) * n_taps_ * n_out_};
  }

  BlockRows block_rows() const override { return {kBlockRows, 1}; }

  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    return std::make_unique<Taps>(*this, inputs[0]);
  }

  void run_rows(const Block& block) const override {
    const auto* taps = static_cast<const Taps*>(block.state);
    const float* x = block.inputs[0].row(block.rows.begin * stride_);
    // A panel of taps stays in L1 for all rows of a block.
    for (int column = 0; column < n_out_; column += kFirCols) {
      elementwise_.fir_bits(x, stride_, block.rows.size(),
                            taps->panels.data() + static_cast<size_t>(column) * n_taps_, n_taps_,
                            taps->threshold.data() + column,
                            block.y.bits_row(0, block.rows.begin) + column / kWordBits,
                            type_.words());
    }
  }

 private:
  static_assert(kFirCols == kWordBits);
  static constexpr int64_t kBlockRows = 96;
  static constexpr int64_t kMomentRows = 4096;

  // Taps multiplied by the gain of the norm, in panels (n_taps, kFirCols), and their thresholds;
  // the thresholds of padding channels are never reached.
  class Taps : public State {
   public:
    Taps(const WaveformBits& op, const View& x)
        : op_(op),
          x_(x),
          n_rows_(op.rows({x.rows.end})),
          n_sums_(static_cast<size_t>(op.n_taps_) * (op.n_taps_ + 1)),
          sums_(n_parts() * n_sums_, 0.0) {}

    int64_t n_parts() const override { return (n_rows_ + kMomentRows - 1) / kMomentRows; }

    // Sums of the samples under every tap and of their products, (n_taps, n_taps), over a block of
    // fixed size.
    void run_part(int64_t block, Scratch&) override {
      const int64_t first = block * kMomentRows;
      op_.elementwise_.add_moments(x_.row(first * op_.stride_), op_.stride_,
                                   std::min(kMomentRows, n_rows_ - first), op_.n_taps_,
                                   sums_.data() + block * n_sums_);
    }

    // Blocks are added in order, so the sums do not depend on threads.
    void finish() override {
      std::vector<double> total(n_sums_, 0.0);
      for (int64_t block = 0; block < n_parts(); ++block) {
        for (size_t i = 0; i < n_sums_; ++i) total[i] += sums_[block * n_sums_ + i];
      }
      for (double& value : total) value /= static_cast<double>(n_rows_);
      fold(total.data(), total.data() + op_.n_taps_);
    }

    std::vector<float> panels;
    std::vector<float> threshold;

   private:
    void fold(const double* mean_of, const double* product) {
      const int n_taps = op_.n_taps_;
      const size_t n_panels = words_for(op_.n_out_);
      panels.resize(n_panels * kFirCols * n_taps);
      threshold.assign(n_panels * kFirCols, std::numeric_limits<float>::quiet_NaN());
      for (int c = 0; c < op_.n_out_; ++c) {
        const float* w = op_.weight_.data() + static_cast<size_t>(c) * n_taps;
        double mean = 0;
        double variance = 0;
        for (int k = 0; k < n_taps; ++k) {
          mean += w[k] * mean_of[k];
          for (int l = 0; l < n_taps; ++l) {
            const double covariance = product[k * n_taps + l] - mean_of[k] * mean_of[l];
            variance += w[k] * covariance * w[l];
          }
        }
        const double gain = op_.norm_weight_[c] / std::sqrt(std::max(variance, 0.0) + op_.eps_);
        float* panel = panels.data() + static_cast<size_t>(c / kFirCols) * kFirCols * n_taps;
        for (int k = 0; k < n_taps; ++k) {
          panel[k * kFirCols + c % kFirCols] = static_cast<float>(w[k] * gain);
        }
        threshold[c] = static_cast<float>(op_.threshold_[c] - (op_.norm_bias_[c] - mean * gain));
      }
    }

    const WaveformBits& op_;
    View x_;
    int64_t n_rows_;
    size_t n_sums_;
    std::vector<double> sums_;
  };

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
