// log_mel: logarithms of mel energies, log(sum of weight x power + floor), of windows of samples.
//
// Frame f is the `window` samples from f * hop - pad, 0 outside of the clip.  A row holds the
// energies of `stack` frames side by side, so rows are adjacent frames in memory.
#include "kernels/log_mel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/thread_pool.h"
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

  int64_t rows(const std::vector<int64_t>& inputs) const override {
    const int64_t span = window_ + int64_t{stack_ - 1} * hop_;  // samples of a row
    const int64_t padded = inputs[0] + 2 * int64_t{pad_};
    if (padded < span) {
      throw std::invalid_argument(std::to_string(inputs[0]) + " samples are too few for " +
                                  std::to_string(stack_) + " frames of " + std::to_string(window_));
    }
    return (padded - span) / (int64_t{stack_} * hop_) + 1;
  }

  Value run(const std::vector<Value>& inputs, const Workspace& work) const override {
    const Value& x = inputs[0];
    Value y = work.make(type_, rows({x.rows}));
    const int64_t n_frames = y.rows * stack_;
    const int64_t grain = even_grain(n_frames, kMostFrames, kernel_.lanes, work.n_threads);
    parallel_for(n_frames, grain, work.n_threads, [&](int64_t begin, int64_t end) {
      const int lanes = kernel_.lanes;
      const Value scratch = work.make(Type::floats(lanes), plan_.tables().fft + 2);
      const Value copy = work.make(Type::floats(window_), lanes);
      for (int64_t f = begin; f < end; f += lanes) {
        const int n = static_cast<int>(std::min<int64_t>(lanes, end - f));
        run_frames(x, f, n, y.floats.get() + f * n_mels_, scratch.floats.get(), copy);
      }
    });
    return y;
  }

 private:
  static constexpr int64_t kMostFrames = 64;

  // n frames from frame f on; copies frames with samples outside of the clip.
  void run_frames(const Value& x, int64_t f, int n, float* y, float* scratch,
                  const Value& copy) const {
    const int64_t first = f * hop_ - pad_;
    if (first >= 0 && first + int64_t{n - 1} * hop_ + window_ <= x.rows) {
      kernel_.run(plan_.tables(), x.floats.get() + first, hop_, n, y, scratch);
      return;
    }
    for (int i = 0; i < n; ++i) {
      const int64_t start = first + int64_t{i} * hop_;
      const int64_t begin = std::clamp<int64_t>(-start, 0, window_);
      const int64_t end = std::clamp<int64_t>(x.rows - start, begin, window_);
      float* frame = copy.row(i);
      std::fill_n(frame, begin, 0.0f);
      std::copy(x.floats.get() + start + begin, x.floats.get() + start + end, frame + begin);
      std::fill(frame + end, frame + window_, 0.0f);
    }
    kernel_.run(plan_.tables(), copy.floats.get(), window_, n, y, scratch);
  }

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
