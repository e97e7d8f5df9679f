// log_mel, against a plain Fourier transform in double.
#include <cmath>
#include <numbers>

#include "shapes/operands.h"

namespace shapes {
namespace {

using earbit::Value;

struct Frames {
  int window;
  int hop;
  int pad;
  int stack;
  int fft;
  int n_samples;

  int rows() const {
    return (n_samples + 2 * pad - window - (stack - 1) * hop) / (stack * hop) + 1;
  }
};

Frames drawn_frames(Draw& draw) {
  Frames frames{};
  frames.fft = 16 << draw.below(draw.one_in(4) ? 6 : 4);
  frames.window = draw.size(1, frames.fft);
  frames.hop = draw.size(1, 100);
  frames.pad = draw.one_in(2) ? draw.below(frames.window) : 0;
  frames.stack = draw.one_in(2) ? 1 : draw.size(1, 5);
  const int least = frames.window + (frames.stack - 1) * frames.hop - 2 * frames.pad;
  frames.n_samples = std::max(0, least) + draw.size(0, 40 * frames.hop);
  return frames;
}

// Multiples of 1/64, so that no number depends on a C library.
std::vector<float> drawn_floats(Draw& draw, size_t n, int least, int most) {
  std::vector<float> floats = draw.numbers<float>(n, least, most);
  for (float& number : floats) number /= 64;
  return floats;
}

// Powers of the bins of frame f.
std::vector<double> powers(const Frames& frames, const std::vector<float>& x,
                           const std::vector<float>& taper, int f) {
  std::vector<double> powers;
  for (int k = 0; k <= frames.fft / 2; ++k) {
    double re = 0;
    double im = 0;
    for (int i = 0; i < frames.window; ++i) {
      const int t = f * frames.hop - frames.pad + i;
      if (t < 0 || t >= frames.n_samples) continue;
      const double angle = 2 * std::numbers::pi * (int64_t{k} * i % frames.fft) / frames.fft;
      re += static_cast<double>(x[t]) * taper[i] * std::cos(angle);
      im += static_cast<double>(x[t]) * taper[i] * std::sin(angle);
    }
    powers.push_back(re * re + im * im);
  }
  return powers;
}

}  // namespace

void try_log_mel_op(Draw& draw, Digest& digest) {
  const Frames frames = drawn_frames(draw);
  const int n_mels = draw.size(1, 40);
  const int n_bins = frames.fft / 2 + 1;
  const int width = draw.size(1, std::min(n_bins, 20));
  // Exactly as many samples as there are, so that sanitizers find what is read beyond.
  const std::shared_ptr<float[]> samples(new float[frames.n_samples]);
  const std::vector<float> x = drawn_floats(draw, frames.n_samples, -64, 64);
  std::copy(x.begin(), x.end(), samples.get());
  const Value input{earbit::Type::floats(1), frames.n_samples, samples, nullptr, nullptr};
  const std::vector<float> taper = drawn_floats(draw, frames.window, 0, 64);
  const std::vector<float> weights =
      drawn_floats(draw, static_cast<size_t>(n_mels) * width, 0, 128);
  std::vector<int32_t> first;
  for (int m = 0; m < n_mels; ++m) first.push_back(draw.below(n_bins - width + 1));
  constexpr double kFloor = 1.0 / 64;
  Parts parts;
  parts.integer("window", frames.window).integer("hop", frames.hop).integer("pad", frames.pad);
  parts.integer("stack", frames.stack).integer("fft", frames.fft).number("floor", kFloor);
  parts.floats("taper", taper).i32("first", first).floats("weight", n_mels, weights);
  const std::string what = parts.text() + " samples=" + std::to_string(frames.n_samples);
  const Value y = run_on_threads(parts.op("log_mel", {input}), {input}, what);
  if (y.rows != frames.rows()) throw Wrong(std::to_string(y.rows) + " rows: " + what);
  const std::vector<float> logs(y.floats.get(), y.floats.get() + y.size());
  digest.add(logs);
  // Some frames: a plain transform takes long.
  for (int tried = 0; tried < 3; ++tried) {
    const int f = draw.below(frames.rows() * frames.stack);
    const std::vector<double> of_bins = powers(frames, x, taper, f);
    for (int m = 0; m < n_mels; ++m) {
      double energy = kFloor;
      for (int b = 0; b < width; ++b) energy += weights[m * width + b] * of_bins[first[m] + b];
      if (std::abs(logs[static_cast<size_t>(f) * n_mels + m] - std::log(energy)) > 1e-3) {
        throw Wrong("frame " + std::to_string(f) + " mel " + std::to_string(m) + ":" + what);
      }
    }
  }
}

}  // namespace shapes
