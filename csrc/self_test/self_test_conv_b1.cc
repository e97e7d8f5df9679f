#include <bit>
#include <random>

#include "bits/layout.h"
#include "kernels/conv_b1.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

struct ConvShape {
  int kernel;
  int n_bits;
};

// Counts of kConvFrames windows for kConvOutputs outputs, against a popcount of every word.
bool is_right(const ConvB1Kernel& kernel, const ConvShape& shape, BitOp op,
              std::mt19937_64& random) {
  const auto n_words = static_cast<int>(words_for(shape.n_bits));
  const int n_planes = (shape.n_bits + kernel.plane_bits - 1) / kernel.plane_bits;
  const int n_frames = kConvFrames + shape.kernel - 1;
  const uint64_t tail = shape.n_bits % kWordBits == 0
                            ? ~uint64_t{0}
                            : (uint64_t{1} << (shape.n_bits % kWordBits)) - 1;
  const auto bits = [&](int64_t n_rows) {
    std::vector<uint64_t> words(static_cast<size_t>(n_rows * n_words));
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = random() & ((i + 1) % n_words == 0 ? tail : ~uint64_t{0});
    }
    return words;
  };
  const std::vector<uint64_t> x = bits(n_frames);
  const std::vector<uint64_t> w = bits(int64_t{kConvOutputs} * shape.kernel);
  const ptrdiff_t row = static_cast<ptrdiff_t>(shape.kernel) * n_words;
  const ptrdiff_t stride = (n_frames + 2 * kConvFrames) / kConvFrames * kConvFrames;
  std::vector<uint8_t> planes(static_cast<size_t>(n_planes * stride));
  std::vector<uint16_t> weights(static_cast<size_t>(kConvOutputs / 2) * shape.kernel * n_planes);
  std::vector<uint16_t> counts(static_cast<size_t>(kConvOutputs) * kConvFrames);
  kernel.split(x.data(), n_frames, n_words, n_planes, planes.data(), stride);
  for (int j = 0; j < kConvOutputs; j += 2) {
    kernel.pack(w.data() + j * row, w.data() + (j + 1) * row, shape.kernel, n_words, n_planes,
                weights.data() + static_cast<size_t>(j / 2) * shape.kernel * n_planes);
  }
  kernel.run(planes.data(), stride, shape.kernel, n_planes, weights.data(), kConvOutputs, op,
             counts.data());
  for (int j = 0; j < kConvOutputs; ++j) {
    for (int t = 0; t < kConvFrames; ++t) {
      int expected = 0;
      for (ptrdiff_t i = 0; i < row; ++i) {
        const uint64_t a = x[static_cast<size_t>(t * n_words + i)];
        const uint64_t b = w[static_cast<size_t>(j * row + i)];
        expected += std::popcount(op == BitOp::conjunction ? a & b : a ^ b);
      }
      if (counts[static_cast<size_t>(j * kConvFrames + t)] != expected) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<SelfTest> self_test_conv_b1() {
  const ConvShape kShapes[] = {{2, 1}, {3, 4}, {128, 6}, {31, 9}, {16, 64}, {5, 130}};
  std::mt19937_64 random(3);
  std::vector<SelfTest> tests;
  // That of the last set: a build has at most one.
  const ConvB1Kernel* kernel = conv_b1_kernel(Isa::avx512);
  if (kernel == nullptr || !is_available(kernel->isa)) return tests;
  tests.push_back({kernel->name, true, std::to_string(std::size(kShapes)) + " shapes"});
  for (const ConvShape& shape : kShapes) {
    for (BitOp op : {BitOp::exclusive_or, BitOp::conjunction}) {
      if (is_right(*kernel, shape, op, random)) continue;
      tests.back() = {kernel->name, false,
                      "wrong at " + std::to_string(shape.kernel) + " frames of " +
                          std::to_string(shape.n_bits) + " bits"};
    }
  }
  return tests;
}

}  // namespace earbit
