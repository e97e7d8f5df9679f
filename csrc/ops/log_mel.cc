// log_mel: logarithms of mel energies, log(sum of weight x power + floor), of windows of samples.
//
// Frame f is the `window` samples from f * hop - pad, 0 outside of the clip.  A row holds the
// energies of `stack` frames side by side, so rows are adjacent frames in memory.
#include "kernels/log_mel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/op.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class LogMel : public Op {
 public:
  LogMel(const std::vector<Type>& inputs, Attributes& attributes)
      : window_(attributes.integer("window", 1, kMaxFft)),
        hop_(attributes.integer("hop", 1, 1 << 20)),
        pad_(attributes.integer("pad", 0, window_ - 1)),
        n_mels_(outputs_of(attributes)),
        stack_(attributes.integer("stack", 1, static_cast<int64_t>(kMaxOutputs) / n_mels_)),
        type_(Type::floats(stack_ * n_mels_)),
        plan_(plan_of(attributes)),
        kernel_(log_mel_kernel(chosen_isa())) {
    if (inputs[0].cols != 1) {
      throw std::invalid_argument("an input of " + std::to_string(inputs[0].cols) +
                                  " columns; samples have one");
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t) const override {
    Needs needs;
    needs.stride = int64_t{stack_} * hop_;
    needs.left = pad_;
    needs.right = window_ + int64_t{stack_ - 1} * hop_ - 1 - pad_;
    needs.is_padded = true;
    needs.pad_right = pad_;
    return needs;
  }

  BlockRows block_rows() const override {
    return {std::max(1, kMostFrames / stack_), kernel_.lanes};
  }

  void run_rows(const Block& block) const override {
    auto* room = block.scratch.take<float>(kernel_.lanes * (int64_t{plan_.tables().fft} + 2));
    const int64_t end = block.rows.end * stack_;
    for (int64_t f = block.rows.begin * stack_; f < end; f += kernel_.lanes) {
      const int n = static_cast<int>(std::min<int64_t>(kernel_.lanes, end - f));
      float* y = block.y.row(block.rows.begin) + (f - block.rows.begin * stack_) * n_mels_;
      kernel_.run(plan_.tables(), block.inputs[0].row(f * hop_ - pad_), hop_, n, y, room);
    }
  }

 private:
  static constexpr int kMostFrames = 64;

  LogMelPlan plan_of(Attributes& attributes) const {
    const int fft = attributes.integer("fft", kMinFft, kMaxFft);
    if (fft < window_ || (fft & (fft - 1)) != 0) {
      throw std::invalid_argument("fft=" + std::to_string(fft) +
                                  "; allowed are powers of two from the window of " +
                                  std::to_string(window_) + " samples on");
    }
    const float floor = attributes.number("floor");
    if (!(floor >= std::numeric_limits<float>::min())) {
      throw std::invalid_argument("floor must be at least 1.2e-38, not " + std::to_string(floor));
    }
    const Elements<float> taper = attributes.f32("taper", {window_});
    if (!std::all_of(taper.begin(), taper.end(), [](float w) { return std::isfinite(w); })) {
      throw std::invalid_argument("taper is not finite");
    }
    const Elements<int32_t> first = attributes.i32("first", {n_mels_});
    const int64_t width = attributes.columns("weight");
    const Elements<float> weight = attributes.f32("weight", {n_mels_, width});
    for (float w : weight) {
      if (!std::isfinite(w) || w < 0) {
        throw std::invalid_argument("a weight is not a finite number of at least 0");
      }
    }
    const int n_bins = fft / 2 + 1;
    for (int32_t bin : first) {
      if (bin < 0 || bin > n_bins - width) {
        throw std::invalid_argument("a first bin of " + std::to_string(bin) + " for " +
                                    std::to_string(width) + " weights; there are " +
                                    std::to_string(n_bins) + " bins");
      }
    }
    return {taper, fft, first, weight.data(), static_cast<int>(width), floor};
  }

  int window_;
  int hop_;
  int pad_;
  int n_mels_;
  int stack_;
  Type type_;
  LogMelPlan plan_;
  const LogMelKernel& kernel_;
};

}  // namespace

std::unique_ptr<Op> make_log_mel(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_floats(inputs, 1);
  return std::make_unique<LogMel>(inputs, attributes);
}

}  // namespace earbit
