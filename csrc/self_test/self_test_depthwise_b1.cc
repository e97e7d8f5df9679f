#include <random>

#include "bits/layout.h"
#include "kernels/depthwise_b1.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

// A kernel of `n_taps` frames that starts at every bit of a word, against one bit at a time.
bool is_right(const DepthwiseB1Kernel& kernel, int n_taps, bool is_unsigned,
              std::mt19937_64& random) {
  constexpr int kChannels = 3 * kDepthwiseLanes;
  const auto n_words = static_cast<size_t>(words_for(n_taps));
  std::vector<uint64_t> x((n_words + 1) * kChannels);
  std::vector<uint64_t> w(n_words * kChannels);
  for (uint64_t& word : x) word = random();
  for (size_t i = 0; i < w.size(); ++i) {
    const int left = n_taps - static_cast<int>(i / kChannels) * kWordBits;
    w[i] = left < kWordBits ? random() & ((uint64_t{1} << left) - 1) : random();
  }
  const auto bit = [](const std::vector<uint64_t>& words, int i, int c) {
    return static_cast<int>(
        words[static_cast<size_t>(i / kWordBits) * kChannels + c] >> (i % kWordBits) & 1);
  };
  for (int shift = 0; shift < kWordBits; ++shift) {
    int32_t dot[kChannels];
    kernel.run(x.data(), w.data(), kChannels, n_taps, shift, is_unsigned, dot);
    for (int c = 0; c < kChannels; ++c) {
      int32_t expected = 0;
      for (int i = 0; i < n_taps; ++i) {
        const int a = bit(x, i + shift, c);
        expected += (is_unsigned ? a : 2 * a - 1) * (2 * bit(w, i, c) - 1);
      }
      if (dot[c] != expected) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<SelfTest> self_test_depthwise_b1() {
  const int kTaps[] = {1, 5, 31, 63, 64, 65, 128, 130};
  std::mt19937_64 random(2);
  std::vector<SelfTest> tests;
  for (const DepthwiseB1Kernel& kernel : depthwise_b1_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back({kernel.name, true, std::to_string(std::size(kTaps)) + " lengths"});
    for (int n_taps : kTaps) {
      if (!is_right(kernel, n_taps, false, random) || !is_right(kernel, n_taps, true, random)) {
        tests.back() = {kernel.name, false, "wrong at " + std::to_string(n_taps) + " taps"};
      }
    }
  }
  return tests;
}

}  // namespace earbit
