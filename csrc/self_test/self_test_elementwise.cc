#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "bits/layout.h"
#include "kernels/elementwise.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

// Comparisons of n <= 64 values, with ties and with the limits of the type among them.
template <typename T>
bool is_right(uint64_t (*at_least)(const T*, const T*, int), int n, std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  constexpr T kBorder = 1 << 30;
  std::vector<T> values = {Limits::lowest(), Limits::max(), -kBorder, kBorder, -1, 0, 1};
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

// Comparisons of many values with one limit.
bool are_limits_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> x(n);
  for (float& value : x) value = normal(random);
  const float limit = x[random() % x.size()];
  std::vector<uint64_t> bits(words_for(n), ~uint64_t{0});
  std::vector<uint64_t> expected(words_for(n));
  int64_t n_ones = 0;
  for (int i = 0; i < n; ++i) {
    expected[i / kWordBits] |= uint64_t{x[i] >= limit} << (i % kWordBits);
    n_ones += x[i] >= limit;
  }
  return elementwise.not_below(x.data(), limit, n, bits.data()) == n_ones && bits == expected;
}

// Dots of a tile of counts, compared and scaled.
bool are_dots_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  constexpr int kRows = 3;
  constexpr int kStride = 64;
  std::normal_distribution<float> normal(0.0f, 3.0f);
  const int n_cols = std::min(n, kWordBits);
  std::vector<int32_t> counts(kRows * kStride);
  for (int32_t& count : counts) count = static_cast<int32_t>(random() % 100001);
  std::vector<int32_t> threshold(n_cols);
  std::vector<float> scale(n_cols);
  std::vector<float> bias(n_cols);
  for (auto* values : {&scale, &bias}) {
    for (float& value : *values) value = normal(random);
  }
  for (const bool is_signed : {false, true}) {
    const int32_t offsets[kRows] = {7, -123, static_cast<int32_t>(random() % 2001)};
    const DotTile tile{counts.data(), kStride, kRows, n_cols, is_signed, offsets};
    const auto dot = [&](int i, int j) {
      const int32_t twice = 2 * counts[i * kStride + j];
      return is_signed ? offsets[i] - twice : offsets[i] + twice;
    };
    // Ties, and both sides of them, in one of the rows.
    for (int j = 0; j < n_cols; ++j) {
      threshold[j] = dot(j % kRows, j) + static_cast<int32_t>(random() % 3) - 1;
    }
    threshold[0] = 1 << 30;
    threshold[n_cols / 2] = -(1 << 30);
    uint64_t bits[kRows];
    std::vector<float> y(kRows * kStride);
    elementwise.pack_dots(tile, threshold.data(), bits, 1);
    elementwise.scale_dots(tile, scale.data(), bias.data(), y.data(), kStride);
    for (int i = 0; i < kRows; ++i) {
      uint64_t expected = 0;
      for (int j = 0; j < n_cols; ++j) {
        expected |= uint64_t{dot(i, j) >= threshold[j]} << j;
        // In double the product is exact, so this rounds where two float32 steps do.
        const auto product = static_cast<float>(static_cast<double>(scale[j]) * dot(i, j));
        const auto sum = static_cast<float>(static_cast<double>(product) + bias[j]);
        if (y[i * kStride + j] != sum) return false;
      }
      if (bits[i] != expected) return false;
    }
  }
  return true;
}

// Functions for codes on n values, against the formulas in double precision, rounded.
bool is_code_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  std::vector<float> x(n);
  std::vector<float> shift(n);
  // Quarters: every step below is exact, and ties are common.
  for (auto* values : {&x, &shift}) {
    for (float& value : *values) value = static_cast<float>(random() % 1601) / 4 - 200;
  }
  x.front() = std::numeric_limits<float>::quiet_NaN();
  std::vector<uint8_t> codes(n);
  elementwise.quantize(x.data(), shift.data(), 0.5f, 2.0f, -8, 7, codes.data(), n);
  if (codes.front() != 0) return false;
  for (int i = 0; i < n; ++i) {
    const double rounded = std::nearbyint((0.5 * x[i] + shift[i]) / 2);
    if (i > 0 && codes[i] != std::clamp(rounded, -8.0, 7.0) + 8) return false;
  }
  return true;
}

// Sums of n channels over a few taps, the largest products among them.
bool are_channels_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  const int n_taps = n % 5 + 1;
  std::vector<uint8_t> x(static_cast<size_t>(n_taps) * n);
  std::vector<int16_t> w(x.size());
  for (uint8_t& code : x) code = random() % 4 == 0 ? 255 : static_cast<uint8_t>(random());
  for (int16_t& weight : w) {
    weight = random() % 4 == 0 ? -128 : static_cast<int16_t>(random() % 256) - 128;
  }
  std::vector<int32_t> expected(n);
  for (size_t i = 0; i < x.size(); ++i) expected[i % n] += x[i] * w[i];
  std::vector<int32_t> dots(n);
  elementwise.channel_dots(x.data(), w.data(), n, n_taps, dots.data());
  return dots == expected;
}

// Bits of a filter and its moments, against the scalar set.
bool are_sums_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const ElementwiseKernels& scalar = elementwise_kernels(Isa::scalar);
  const int n_taps = n % 13 + 1;
  const int n_rows = n % 14 + 1;
  std::vector<float> a(n_taps + 5 * n_rows);
  std::vector<float> w(static_cast<size_t>(n_taps) * kFirCols);
  std::vector<float> threshold(kFirCols);
  for (auto* values : {&a, &w, &threshold}) {
    for (float& value : *values) value = normal(random);
  }
  // A tie, and a threshold that no sum reaches.
  threshold[1] = 0;
  for (int k = 0; k < n_taps; ++k) threshold[1] += a[k] * w[k * kFirCols + 1];
  threshold[2] = std::numeric_limits<float>::quiet_NaN();
  std::vector<uint64_t> bits(2 * n_rows);
  std::vector<uint64_t> same(2 * n_rows);
  elementwise.fir_bits(a.data(), 5, n_rows, w.data(), n_taps, threshold.data(), bits.data(), 2);
  scalar.fir_bits(a.data(), 5, n_rows, w.data(), n_taps, threshold.data(), same.data(), 2);
  if (bits != same || (bits[0] >> 1 & 1) == 0) return false;
  for (int i = 0; i < n_rows; ++i) {
    for (int j = 0; j < kFirCols; ++j) {
      double value = 0;
      for (int k = 0; k < n_taps; ++k) value += double{a[5 * i + k]} * w[k * kFirCols + j];
      const bool is_close = std::abs(value - threshold[j]) < 1e-4;
      if (!is_close && (bits[2 * i] >> j & 1) != uint64_t{value >= threshold[j]}) return false;
    }
  }
  const size_t n_moments = static_cast<size_t>(n_taps) * (n_taps + 1);
  std::vector<double> moments(n_moments, 0.5);
  std::vector<double> same_moments(n_moments, 0.5);
  elementwise.add_moments(a.data(), 5, n_rows, n_taps, moments.data());
  scalar.add_moments(a.data(), 5, n_rows, n_taps, same_moments.data());
  double corner = 0.5;
  for (int i = 0; i < n_rows; ++i) corner += double{a[5 * i]} * a[5 * i + n_taps - 1];
  if (moments != same_moments || std::abs(moments[2 * n_taps - 1] - corner) > 1e-9) return false;
  std::vector<uint64_t> words(n);
  int64_t ones = 0;
  for (uint64_t& word : words) ones += popcount(word = random());
  return elementwise.n_ones(words.data(), n) == ones;
}

// Functions on n columns, against the formulas in double precision and the bits of the scalar set.
bool are_columns_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  constexpr int kTaps = 5;
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(kTaps) * n);
  std::vector<float> w(x.size());
  std::vector<float> bias(n);
  for (auto* values : {&x, &w, &bias}) {
    for (float& value : *values) value = normal(random);
  }
  const auto columns = [&](const ElementwiseKernels& kernels) {
    std::vector<float> y(static_cast<size_t>(4) * n);
    std::copy_n(w.data(), 2 * n, y.data());
    kernels.add_distances(x.data(), bias.data(), y.data(), n);
    kernels.add_squares(x.data(), bias.data(), y.data() + n, n);
    kernels.affine(x.data(), w.data(), bias.data(), y.data() + 2 * n, n);
    kernels.depthwise(x.data(), w.data(), kTaps, bias.data(), y.data() + 3 * n, n);
    return y;
  };
  const std::vector<float> y = columns(elementwise);
  for (int j = 0; j < n; ++j) {
    const double distance = double{x[j]} - bias[j];
    double filtered = bias[j];
    for (int k = 0; k < kTaps; ++k) filtered += double{w[k * n + j]} * x[k * n + j];
    const double expected[] = {w[j] + distance, w[n + j] + distance * distance,
                               double{x[j]} * w[j] + bias[j], filtered};
    for (int i = 0; i < 4; ++i) {
      if (!(std::abs(y[i * n + j] - expected[i]) < 1e-5 * (1 + std::abs(expected[i])))) {
        return false;
      }
    }
  }
  return y == columns(elementwise_kernels(Isa::scalar));
}

// The other functions on n values; gelu is also compared bitwise with the scalar set.
bool is_right(const ElementwiseKernels& elementwise, int n, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> x(n);
  std::vector<float> scale(n);
  std::vector<float> bias(n);
  std::vector<int32_t> counts(n);
  for (auto* values : {&x, &scale, &bias}) {
    for (float& value : *values) value = normal(random);
  }
  for (int32_t& count : counts) count = static_cast<int32_t>(random() % 100001) - 50000;
  x.front() = n % 2 == 0 ? 1e6f : -1e6f;
  std::vector<float> gelu(n);
  std::vector<float> same(n);
  std::vector<float> scaled(n);
  elementwise.gelu(x.data(), gelu.data(), n);
  elementwise_kernels(Isa::scalar).gelu(x.data(), same.data(), n);
  elementwise.scale_i32(counts.data(), scale.data(), bias.data(), scaled.data(), n);
  std::vector<float> sums(n);
  elementwise.scale_sums(counts.data(), 2, counts.data(), scale.data(), bias.data(), sums.data(),
                         n);
  for (int i = 0; i < n; ++i) {
    const double expected = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
    if (!(std::abs(gelu[i] - expected) < 1e-6 * (1 + std::abs(x[i])))) return false;
    // In double the product is exact, so this rounds where two float32 steps do.
    const auto product = static_cast<float>(static_cast<double>(scale[i]) * counts[i]);
    if (scaled[i] != static_cast<float>(static_cast<double>(product) + bias[i])) return false;
    const auto thrice = static_cast<float>(3.0 * static_cast<double>(scale[i]) * counts[i]);
    if (sums[i] != static_cast<float>(static_cast<double>(thrice) + bias[i])) return false;
  }
  return gelu == same;
}

SelfTest tested(const ElementwiseKernels& elementwise, std::mt19937_64& random) {
  constexpr int kSizes = 130;
  for (int n = 1; n <= kSizes; ++n) {
    const int n_bits = std::min(n, kWordBits);
    if (!is_right(elementwise, n, random) || !are_dots_right(elementwise, n, random) ||
        !are_sums_right(elementwise, n, random) || !is_code_right(elementwise, n, random) ||
        !are_columns_right(elementwise, n, random) || !are_channels_right(elementwise, n, random) ||
        !are_limits_right(elementwise, n, random) ||
        !is_right(elementwise.at_least_f32, n_bits, random) ||
        !is_right(elementwise.at_least_i32, n_bits, random)) {
      return {elementwise.name, false, "wrong at " + std::to_string(n) + " values"};
    }
  }
  return {elementwise.name, true, std::to_string(kSizes) + " sizes"};
}

}  // namespace

std::vector<SelfTest> self_test_elementwise() {
  std::mt19937_64 random(4);
  std::vector<SelfTest> tests;
  for (const ElementwiseKernels* elementwise : all_elementwise_kernels()) {
    if (is_available(elementwise->isa)) tests.push_back(tested(*elementwise, random));
  }
  return tests;
}

}  // namespace earbit
