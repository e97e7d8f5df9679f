#include "python/self_test.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "bits/layout.h"
#include "kernels/gemm_b1.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_i8.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

struct Shape {
  int rows;
  int cols;
  int depth;
};

// Ones, primes, and both sides of every block border.
const Shape kShapes[] = {{1, 1, 1},  {2, 3, 1},   {3, 7, 2},    {4, 64, 3},  {5, 65, 4},
                         {6, 63, 5}, {7, 129, 8}, {13, 31, 12}, {4, 16, 24}, {11, 100, 48}};

std::string text_of(const Shape& shape) {
  return std::to_string(shape.rows) + " x " + std::to_string(shape.cols) + " x " +
         std::to_string(shape.depth);
}

bool is_right(const GemmB1Kernel& kernel, const Shape& shape, BitOp op, std::mt19937_64& random) {
  std::vector<uint64_t> a(static_cast<size_t>(shape.rows) * shape.depth);
  std::vector<uint64_t> w(static_cast<size_t>(shape.cols) * shape.depth);
  for (uint64_t& word : a) word = random();
  for (uint64_t& word : w) word = random();
  const PanelsB1 panels(kernel, w.data(), shape.depth, shape.cols, shape.depth);
  std::vector<int32_t> counts(static_cast<size_t>(kernel.rows) * panels.padded_cols());
  for (int first = 0; first < shape.rows; first += kernel.rows) {
    const int n = std::min(kernel.rows, shape.rows - first);
    panels.run(a.data() + static_cast<size_t>(first) * shape.depth, shape.depth, n, op,
               counts.data());
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < shape.cols; ++j) {
        int32_t expected = 0;
        for (int k = 0; k < shape.depth; ++k) {
          const uint64_t x = a[static_cast<size_t>(first + i) * shape.depth + k];
          const uint64_t y = w[static_cast<size_t>(j) * shape.depth + k];
          expected += popcount(op == BitOp::exclusive_or ? x ^ y : x & y);
        }
        if (counts[static_cast<size_t>(i) * panels.padded_cols() + j] != expected) return false;
      }
    }
  }
  return true;
}

bool is_right(const GemmF32Kernel& kernel, const Shape& shape, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> a(static_cast<size_t>(shape.rows) * shape.depth);
  std::vector<float> w(static_cast<size_t>(shape.cols) * shape.depth);
  std::vector<float> c(static_cast<size_t>(shape.rows) * shape.cols);
  for (float& x : a) x = normal(random);
  for (float& x : w) x = normal(random);
  const PanelsF32 panels(kernel, w.data(), shape.depth, shape.cols, shape.depth);
  panels.run(a.data(), shape.depth, shape.rows, nullptr, c.data(), shape.cols, 1);
  for (int i = 0; i < shape.rows; ++i) {
    for (int j = 0; j < shape.cols; ++j) {
      double expected = 0;
      for (int k = 0; k < shape.depth; ++k) {
        expected += static_cast<double>(a[static_cast<size_t>(i) * shape.depth + k]) *
                    w[static_cast<size_t>(j) * shape.depth + k];
      }
      const double error = std::abs(c[static_cast<size_t>(i) * shape.cols + j] - expected);
      if (!(error < 1e-5 * (1 + shape.depth))) return false;
    }
  }
  return true;
}

// Depths that are no multiple of four too, and a row of the largest codes.
bool is_right(const GemmI8Kernel& kernel, const Shape& shape, std::mt19937_64& random) {
  const int n_k = 5 * shape.depth;
  std::vector<uint8_t> a(static_cast<size_t>(shape.rows) * n_k);
  std::vector<int8_t> w(static_cast<size_t>(shape.cols) * n_k);
  for (uint8_t& x : a) x = static_cast<uint8_t>(random());
  for (int8_t& x : w) x = static_cast<int8_t>(random());
  std::fill_n(a.begin(), n_k, uint8_t{255});
  std::fill_n(w.begin(), n_k, int8_t{-128});
  const PanelsI8 panels(kernel, w.data(), n_k, shape.cols, n_k);
  std::vector<int32_t> sums(static_cast<size_t>(shape.rows) * panels.padded_cols());
  panels.run(a.data(), n_k, shape.rows, sums.data());
  for (int i = 0; i < shape.rows; ++i) {
    for (int j = 0; j < shape.cols; ++j) {
      int32_t expected = 0;
      for (int k = 0; k < n_k; ++k) {
        expected += a[static_cast<size_t>(i) * n_k + k] * w[static_cast<size_t>(j) * n_k + k];
      }
      if (sums[static_cast<size_t>(i) * panels.padded_cols() + j] != expected) return false;
    }
  }
  return true;
}

// Comparisons of n <= 64 values, with ties and with the limits of the type among them.
template <typename T>
bool is_right(uint64_t (*at_least)(const T*, const T*, int), int n, std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {Limits::lowest(), Limits::max(), -1, 0, 1};
  if (Limits::has_infinity) {
    values.insert(values.end(), {-Limits::infinity(), Limits::infinity(), Limits::quiet_NaN()});
  }
  std::vector<T> x(n);
  std::vector<T> threshold(n);
  for (T& value : x) value = values[random() % values.size()];
  for (T& value : threshold) value = values[random() % values.size()];
  uint64_t expected = 0;
  for (int i = 0; i < n; ++i) expected |= uint64_t{x[i] >= threshold[i]} << i;
  return at_least(x.data(), threshold.data(), n) == expected;
}

// What few bits need, on n values; the formulas in double, which the loops must round to.
bool is_code_right(const LaneKernels& lanes, int n, std::mt19937_64& random) {
  std::vector<float> x(n);
  std::vector<float> shift(n);
  std::vector<int32_t> dots(n);
  // Quarters: every step below is exact, and ties are common.
  for (auto* values : {&x, &shift}) {
    for (float& value : *values) value = static_cast<float>(random() % 1601) / 4 - 200;
  }
  x.front() = std::numeric_limits<float>::quiet_NaN();
  for (int32_t& dot : dots) dot = static_cast<int32_t>(random() % 100001) - 50000;
  const int32_t largest = *std::max_element(dots.begin(), dots.end());
  std::vector<uint8_t> codes(n);
  std::vector<float> shares(n);
  lanes.quantize(x.data(), shift.data(), 0.5f, 2.0f, -8, 7, codes.data(), n);
  lanes.exp_i32(dots.data(), largest, 1e-3f, shares.data(), n);
  if (lanes.largest_i32(dots.data(), n) != largest || codes.front() != 0) return false;
  for (int i = 0; i < n; ++i) {
    const double rounded = std::nearbyint((0.5 * x[i] + shift[i]) / 2);
    if (i > 0 && codes[i] != std::clamp(rounded, -8.0, 7.0) + 8) return false;
    const double expected =
        std::exp(std::max(-87.0, 1e-3f * (static_cast<double>(dots[i]) - largest)));
    if (!(std::abs(shares[i] / expected - 1) < 1e-5)) return false;
  }
  return true;
}

// The other functions on n values; gelu also gives the bits that the scalar one gives.
bool is_right(const LaneKernels& lanes, int n, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> x(n);
  std::vector<float> scale(n);
  std::vector<float> bias(n);
  std::vector<int32_t> counts(n);
  for (auto* values : {&x, &scale, &bias}) {
    for (float& value : *values) value = normal(random);
  }
  for (int32_t& count : counts) count = static_cast<int32_t>(random() % 100001) - 50000;
  if (lanes.least_i32(counts.data(), n) != *std::min_element(counts.begin(), counts.end())) {
    return false;
  }
  x.front() = n % 2 == 0 ? 1e6f : -1e6f;
  std::vector<float> gelu(n);
  std::vector<float> same(n);
  std::vector<float> scaled(n);
  lanes.gelu(x.data(), gelu.data(), n);
  lane_kernels(Isa::scalar).gelu(x.data(), same.data(), n);
  lanes.scale_i32(counts.data(), scale.data(), bias.data(), scaled.data(), n);
  for (int i = 0; i < n; ++i) {
    const double expected = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
    if (!(std::abs(gelu[i] - expected) < 1e-6 * (1 + std::abs(x[i])))) return false;
    // In double the product is exact, so this rounds where two float32 steps do.
    const auto product = static_cast<float>(static_cast<double>(scale[i]) * counts[i]);
    if (scaled[i] != static_cast<float>(static_cast<double>(product) + bias[i])) return false;
  }
  return gelu == same;
}

SelfTest tested(const LaneKernels& lanes, std::mt19937_64& random) {
  constexpr int kSizes = 130;
  for (int n = 1; n <= kSizes; ++n) {
    const int n_bits = std::min(n, kWordBits);
    if (!is_right(lanes, n, random) || !is_code_right(lanes, n, random) ||
        !is_right(lanes.at_least_f32, n_bits, random) ||
        !is_right(lanes.at_least_i32, n_bits, random)) {
      return {lanes.name, false, "wrong at " + std::to_string(n) + " values"};
    }
  }
  return {lanes.name, true, std::to_string(kSizes) + " sizes"};
}

template <typename IsRight>
SelfTest tested(const char* kernel, IsRight&& is_shape_right) {
  for (const Shape& shape : kShapes) {
    if (!is_shape_right(shape)) return {kernel, false, "wrong at " + text_of(shape)};
  }
  return {kernel, true, std::to_string(std::size(kShapes)) + " shapes"};
}

}  // namespace

std::vector<SelfTest> self_test() {
  std::mt19937_64 random(1);
  std::vector<SelfTest> tests;
  for (const GemmB1Kernel& kernel : gemm_b1_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back(tested(kernel.name, [&](const Shape& shape) {
      return is_right(kernel, shape, BitOp::exclusive_or, random) &&
             is_right(kernel, shape, BitOp::conjunction, random);
    }));
  }
  for (const GemmF32Kernel& kernel : gemm_f32_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back(
        tested(kernel.name, [&](const Shape& shape) { return is_right(kernel, shape, random); }));
  }
  for (const GemmI8Kernel& kernel : gemm_i8_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back(
        tested(kernel.name, [&](const Shape& shape) { return is_right(kernel, shape, random); }));
  }
  for (const LaneKernels* lanes : all_lane_kernels()) {
    if (is_available(lanes->isa)) tests.push_back(tested(*lanes, random));
  }
  return tests;
}

}  // namespace earbit
