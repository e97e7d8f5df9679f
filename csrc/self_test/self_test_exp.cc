#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/exp.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

bool is_near(double value, double expected) {
  return std::abs(value - expected) <= 1e-6 * (1 + std::abs(expected));
}

// Sums of two dots of every number, against double precision and the bits of the scalar set.
bool are_dots_right(const ExpKernels& exp, int n, std::mt19937_64& random) {
  std::vector<int32_t> sums(n);
  std::vector<int32_t> offset(n);
  for (auto* values : {&sums, &offset}) {
    for (int32_t& value : *values) value = static_cast<int32_t>(random() % 200001) - 100000;
  }
  const ScaledDots a{sums.data(), offset.data(), 2, 0.013f, 0.37f};
  const ScaledDots b{offset.data(), sums.data(), 1, 0.07f, 0.0011f};
  std::vector<float> y(n);
  std::vector<float> same(n);
  exp.add_dots(a, b, y.data(), n);
  exp_kernels(Isa::scalar).add_dots(a, b, same.data(), n);
  for (int i = 0; i < n; ++i) {
    const double left = (2.0 * sums[i] + offset[i]) * a.left_scale * a.right_scale;
    const double right = (1.0 * offset[i] + sums[i]) * b.left_scale * b.right_scale;
    // Terms may cancel each other.
    if (std::abs(y[i] - (left + right)) > 1e-6 * (std::abs(left) + std::abs(right))) return false;
  }
  return y == same;
}

// The other functions on n values, against double precision, and against the bits of the scalar
// set.
bool is_right(const ExpKernels& exp, int n, std::mt19937_64& random) {
  const ExpKernels& scalar = exp_kernels(Isa::scalar);
  std::normal_distribution<float> normal(0.0f, 9.0f);
  std::vector<float> x(n);
  std::vector<float> gate(n);
  std::vector<int32_t> counts(n);
  std::vector<int32_t> other_counts(n);
  for (float& value : x) value = normal(random);
  for (float& value : gate) value = normal(random);
  for (auto* values : {&counts, &other_counts}) {
    for (int32_t& count : *values) count = static_cast<int32_t>(random() % 2001) - 1000;
  }
  gate.front() = n % 2 == 0 ? 1e6f : -1e6f;
  std::vector<float> silu(n), gated(n), weighted(n), terms = x;
  std::vector<float> same_silu(n), same_gated(n), same_weighted(n), same_terms = x;
  exp.silu(x.data(), silu.data(), n);
  scalar.silu(x.data(), same_silu.data(), n);
  exp.gate(x.data(), gate.data(), gated.data(), n);
  scalar.gate(x.data(), gate.data(), same_gated.data(), n);
  const float most_weighted =
      exp.weighted_sum(counts.data(), other_counts.data(), -0.37f, 0.11f, weighted.data(), n);
  scalar.weighted_sum(counts.data(), other_counts.data(), -0.37f, 0.11f, same_weighted.data(), n);
  std::vector<float> scores(n);
  std::vector<float> quotients = x;
  exp.scores({counts.data(), counts.data(), 2, 0.37f, 0.19f}, scores.data(), n);
  exp.divide(quotients.data(), 0.7f, n);
  for (int i = 0; i < n; ++i) {
    // In double a product is exact, and a quotient is rounded as in one step.
    const auto once = static_cast<float>(static_cast<double>(0.37f) * (3 * counts[i]));
    const auto score = static_cast<float>(static_cast<double>(0.19f) * once);
    const auto quotient = static_cast<float>(static_cast<double>(x[i]) / static_cast<double>(0.7f));
    if (scores[i] != score || quotients[i] != quotient) return false;
  }
  const float most = exp.most(x.data(), n);
  if (most_weighted != *std::max_element(weighted.begin(), weighted.end())) return false;
  if (most != *std::max_element(x.begin(), x.end())) return false;
  const float sum = exp.exp_below(terms.data(), most, n);
  double expected_sum = 0;
  for (int i = 0; i < n; ++i) {
    const double term = std::exp(static_cast<double>(x[i]) - most);
    expected_sum += term;
    if (!is_near(silu[i], x[i] / (1 + std::exp(-static_cast<double>(x[i])))) ||
        !is_near(gated[i], x[i] / (1 + std::exp(-static_cast<double>(gate[i])))) ||
        std::abs(weighted[i] - (-0.37 * counts[i] + 0.11 * other_counts[i])) > 1e-4 ||
        !is_near(terms[i], term)) {
      return false;
    }
  }
  return is_near(sum, expected_sum) && sum == scalar.exp_below(same_terms.data(), most, n) &&
         silu == same_silu && gated == same_gated && weighted == same_weighted &&
         terms == same_terms;
}

}  // namespace

std::vector<SelfTest> self_test_exp() {
  constexpr int kSizes = 130;
  std::mt19937_64 random(3);
  std::vector<SelfTest> tests;
  for (const ExpKernels* exp : all_exp_kernels()) {
    if (!is_available(exp->isa)) continue;
    tests.push_back({exp->name, true, std::to_string(kSizes) + " sizes"});
    for (int n = 1; n <= kSizes; ++n) {
      if (!is_right(*exp, n, random) || !are_dots_right(*exp, n, random)) {
        tests.back() = {exp->name, false, "wrong at " + std::to_string(n) + " values"};
      }
    }
  }
  return tests;
}

}  // namespace earbit
