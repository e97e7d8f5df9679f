#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "kernels/log_mel.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

struct Sizes {
  int window;
  int fft;
  int n_mels;
  int width;
};

const Sizes kSizes[] = {{1, 16, 1, 9},    {16, 16, 5, 1},   {31, 32, 17, 3},
                        {50, 64, 16, 12}, {100, 128, 9, 7}, {400, 512, 80, 20}};

// The definition, in double precision.
std::vector<double> expected_of(const Sizes& sizes, const float* x, const std::vector<float>& taper,
                                const std::vector<int32_t>& first,
                                const std::vector<float>& weights, float floor) {
  std::vector<double> powers;
  for (int k = 0; k <= sizes.fft / 2; ++k) {
    double re = 0;
    double im = 0;
    for (int i = 0; i < sizes.window; ++i) {
      const double angle = 2 * std::numbers::pi * (k * i % sizes.fft) / sizes.fft;
      re += static_cast<double>(x[i]) * taper[i] * std::cos(angle);
      im += static_cast<double>(x[i]) * taper[i] * std::sin(angle);
    }
    powers.push_back(re * re + im * im);
  }
  std::vector<double> logs;
  for (int m = 0; m < sizes.n_mels; ++m) {
    double energy = floor;
    for (int b = 0; b < sizes.width; ++b) {
      energy += weights[m * sizes.width + b] * powers[first[m] + b];
    }
    logs.push_back(std::log(energy));
  }
  return logs;
}

// Frames of noise, for every number of them, against the definition and the bits of the scalar
// kernel.
bool is_right(const LogMelKernel& kernel, const Sizes& sizes, std::mt19937_64& random) {
  constexpr float kFloor = 1e-6f;
  constexpr int kStride = 37;
  std::normal_distribution<float> normal;
  std::vector<float> x(kStride * (kernel.lanes - 1) + sizes.window);
  std::vector<float> taper(sizes.window);
  std::vector<float> weights(static_cast<size_t>(sizes.n_mels) * sizes.width);
  std::vector<int32_t> first(sizes.n_mels);
  for (float& sample : x) sample = normal(random);
  for (float& weight : taper) weight = normal(random);
  for (float& weight : weights) weight = random() % 4 == 0 ? 0.0f : std::abs(normal(random));
  for (int32_t& bin : first)
    bin = static_cast<int32_t>(random() % (sizes.fft / 2 + 2 - sizes.width));
  const LogMelPlan plan(taper, sizes.fft, first, weights.data(), sizes.width, kFloor);
  const auto run = [&](const LogMelKernel& by, int from, int n_frames, float* y) {
    // Vectors of this type are aligned as kernels expect.
    std::vector<std::max_align_t> memory;
    const size_t n_floats = static_cast<size_t>(sizes.fft + 2) * by.lanes + 16;
    memory.resize(n_floats * sizeof(float) / sizeof(std::max_align_t) + 1);
    auto* scratch =
        reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    by.run(plan.tables(), x.data() + from * kStride, kStride, n_frames, y, scratch);
  };
  std::vector<float> same(static_cast<size_t>(kernel.lanes) * sizes.n_mels);
  for (int f = 0; f < kernel.lanes; ++f) {
    run(log_mel_kernels().front(), f, 1, same.data() + f * sizes.n_mels);
    const std::vector<double> expected =
        expected_of(sizes, x.data() + f * kStride, taper, first, weights, kFloor);
    for (int m = 0; m < sizes.n_mels; ++m) {
      // Few bins may be smaller than the rounding of the largest, so this is no relative error.
      if (std::abs(same[f * sizes.n_mels + m] - expected[m]) > 1e-3) return false;
    }
  }
  for (int n_frames = 1; n_frames <= kernel.lanes; ++n_frames) {
    const auto size = static_cast<ptrdiff_t>(n_frames) * sizes.n_mels;
    std::vector<float> y(size + 1, -0.5f);
    run(kernel, 0, n_frames, y.data());
    if (!std::equal(y.begin(), y.begin() + size, same.begin()) || y[size] != -0.5f) return false;
  }
  return true;
}

// The logarithm alone, of silence with a given floor: its relative error for numbers of every
// exponent, and for many around 1.
bool is_log_right(const LogMelKernel& kernel, std::mt19937_64& random) {
  constexpr float kMostError = 1e-7f;
  const std::vector<float> nothing(16, 0.0f);
  alignas(64) float scratch[(kMinFft + 2) * 16];
  for (int i = 0; i < 4096; ++i) {
    const auto mantissa = static_cast<float>(random() % (1 << 23)) / (1 << 23);
    const int exponent = i % 2 == 0 ? i / 2 % 254 - 126 : i / 2 % 3 - 1;
    const float x = std::ldexp(1.0f + mantissa, exponent);
    const LogMelPlan plan({1.0f}, kMinFft, {0}, nothing.data(), 1, x);
    float y = 0;
    kernel.run(plan.tables(), nothing.data(), 1, 1, &y, scratch);
    const double expected = std::log(static_cast<double>(x));
    if (!(std::abs(y - expected) <= kMostError * std::abs(expected))) return false;
  }
  return true;
}

}  // namespace

std::vector<SelfTest> self_test_log_mel() {
  std::mt19937_64 random(5);
  std::vector<SelfTest> tests;
  for (const LogMelKernel& kernel : log_mel_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back({kernel.name, true, std::to_string(std::size(kSizes)) + " sizes"});
    for (const Sizes& sizes : kSizes) {
      if (is_right(kernel, sizes, random)) continue;
      tests.back() = {kernel.name, false, "wrong at a transform of " + std::to_string(sizes.fft)};
    }
    if (!is_log_right(kernel, random)) tests.back() = {kernel.name, false, "wrong logarithms"};
  }
  return tests;
}

}  // namespace earbit
