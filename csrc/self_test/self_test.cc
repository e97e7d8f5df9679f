#include "self_test/self_test.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "bits/layout.h"
#include "kernels/gemm_b1.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

struct Shape {
  int rows;
  int cols;
  int depth;
};

// Ones, primes, both sides of every block border, and the most words that become bits by look-ups.
const Shape kShapes[] = {{1, 1, 1},   {2, 3, 1},     {3, 7, 2},   {4, 64, 3},
                         {5, 65, 4},  {6, 63, 5},    {7, 129, 8}, {13, 31, 12},
                         {4, 16, 24}, {11, 100, 48}, {9, 64, 511}};

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

// Dots of one panel as bits and as floats, at thresholds on both sides of a tie and at the largest
// that are allowed.
bool are_dots_right(const GemmB1Kernel& kernel, const Shape& shape, bool is_signed,
                    std::mt19937_64& random) {
  constexpr int kStride = 70;
  constexpr int32_t kMostThreshold = 1 << 30;
  constexpr int32_t kMostOffset = 64 * 511;
  const int n_cols = std::min(shape.cols, kernel.cols);
  const auto words = static_cast<ptrdiff_t>(shape.depth);
  std::vector<uint64_t> a(shape.rows * words);
  std::vector<uint64_t> w(n_cols * words);
  for (auto* values : {&a, &w}) {
    for (uint64_t& word : *values) word = random();
  }
  // The largest count, which the largest offset and threshold meet.
  std::fill_n(a.begin(), words, ~uint64_t{0});
  std::fill_n(w.begin(), words, is_signed ? uint64_t{0} : ~uint64_t{0});
  const PanelsB1 panels(kernel, w.data(), words, n_cols, shape.depth);
  std::vector<int32_t> offsets(shape.rows);
  for (int32_t& offset : offsets) offset = static_cast<int32_t>(random() % 2001) - 1000;
  offsets[0] = is_signed ? -kMostOffset : kMostOffset;
  const auto dot = [&](int i, int j) {
    int32_t count = 0;
    for (int k = 0; k < shape.depth; ++k) {
      const uint64_t x = a[i * words + k];
      count += popcount(is_signed ? x ^ w[j * words + k] : x & w[j * words + k]);
    }
    return is_signed ? offsets[i] - 2 * count : offsets[i] + 2 * count;
  };
  std::vector<int32_t> threshold(n_cols);
  std::vector<float> scale(n_cols);
  std::vector<float> bias(n_cols);
  for (int j = 0; j < n_cols; ++j) {
    threshold[j] = dot(j % shape.rows, j) + static_cast<int32_t>(random() % 3) - 1;
    if (random() % 8 == 0) threshold[j] = random() % 2 == 0 ? -kMostThreshold : kMostThreshold;
    scale[j] = static_cast<float>(random() % 64) / 8 - 3;
    bias[j] = static_cast<float>(random() % 64) / 8 - 3;
  }
  threshold[0] = is_signed ? -kMostThreshold : kMostThreshold;
  const DotsB1 dots{a.data(),    words,  shape.rows, panels.panel(0),
                    shape.depth, n_cols, is_signed,  offsets.data()};
  std::vector<uint64_t> bits(3 * static_cast<size_t>(shape.rows));
  std::vector<float> y(kStride * static_cast<size_t>(shape.rows), -0.5f);
  to_bits(kernel, dots, threshold.data(), bits.data(), 3);
  to_floats(kernel, dots, scale.data(), bias.data(), y.data(), kStride);
  for (int i = 0; i < shape.rows; ++i) {
    uint64_t expected = 0;
    for (int j = 0; j < n_cols; ++j) {
      expected |= uint64_t{dot(i, j) >= threshold[j]} << j;
      // Exact: all are multiples of 1/8.
      if (y[i * kStride + j] != scale[j] * static_cast<float>(dot(i, j)) + bias[j]) return false;
    }
    if (bits[3 * i] != expected || bits[3 * i + 1] != 0 || y[i * kStride + n_cols] != -0.5f) {
      return false;
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
  panels.run(a.data(), shape.depth, shape.rows, nullptr, c.data(), shape.cols);
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
             is_right(kernel, shape, BitOp::conjunction, random) &&
             are_dots_right(kernel, shape, true, random) &&
             are_dots_right(kernel, shape, false, random);
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
  for (const SelfTest& test : self_test_elementwise()) tests.push_back(test);
  for (const SelfTest& test : self_test_conv_b1()) tests.push_back(test);
  for (const SelfTest& test : self_test_depthwise_b1()) tests.push_back(test);
  for (const SelfTest& test : self_test_exp()) tests.push_back(test);
  for (const SelfTest& test : self_test_log_mel()) tests.push_back(test);
  for (const SelfTest& test : self_test_softmax_b1()) tests.push_back(test);
  return tests;
}

}  // namespace earbit
