#include "self_test/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "bits/layout.h"
#include "kernels/gemm_b1.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

// The best of several rounds of calls of work(), which computes n products.
template <typename Work>
double products_per_second(double n, Work&& work) {
  constexpr int kRounds = 12;
  constexpr std::chrono::microseconds kRound{400};
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    std::chrono::duration<double> elapsed{};
    int n_calls = 0;
    do {
      for (int i = 0; i < 16; ++i) work();
      n_calls += 16;
      elapsed = std::chrono::steady_clock::now() - start;
    } while (elapsed < kRound);
    best = std::max(best, n_calls * n / elapsed.count());
  }
  return best;
}

}  // namespace

Ceilings measured_ceilings() {
  const Isa isa = chosen_isa();
  Ceilings ceilings{};
  {
    constexpr int kDepth = 128;
    const GemmF32Kernel& kernel = gemm_f32_kernel(isa);
    const std::vector<float> a(static_cast<size_t>(kernel.rows) * kDepth, 0.5f);
    const std::vector<float> panel(static_cast<size_t>(kernel.cols) * kDepth, 0.5f);
    const std::vector<float> start(kernel.cols, 0.0f);
    std::vector<float> c(static_cast<size_t>(kernel.rows) * kernel.cols);
    const double n = static_cast<double>(kernel.rows) * kernel.cols * kDepth;
    ceilings.f32 = products_per_second(n, [&] {
      kernel.run(a.data(), kDepth, kernel.rows, panel.data(), kDepth, start.data(), kernel.cols,
                 c.data(), kernel.cols);
    });
  }
  {
    constexpr int kDepth = 256;
    const GemmI8Kernel& kernel = gemm_i8_kernel(isa);
    const std::vector<uint8_t> a(static_cast<size_t>(kernel.rows) * kDepth, 3);
    const std::vector<int8_t> w(static_cast<size_t>(kernel.cols) * kDepth, 5);
    const PanelsI8 panels(kernel, w.data(), kDepth, kernel.cols, kDepth);
    std::vector<int32_t> c(static_cast<size_t>(kernel.rows) * kernel.cols);
    const double n = static_cast<double>(kernel.rows) * kernel.cols * kDepth;
    ceilings.i8 =
        products_per_second(n, [&] { panels.run(a.data(), kDepth, kernel.rows, c.data()); });
  }
  {
    constexpr int kWords = 24;
    const GemmB1Kernel& kernel = gemm_b1_kernel(isa);
    const std::vector<uint64_t> a(static_cast<size_t>(kernel.rows) * kWords, 0x5555u);
    const std::vector<uint64_t> w(static_cast<size_t>(kernel.cols) * kWords, 0x3333u);
    const PanelsB1 panels(kernel, w.data(), kWords, kernel.cols, kWords);
    std::vector<int32_t> c(static_cast<size_t>(kernel.rows) * kernel.cols);
    const double n = static_cast<double>(kernel.rows) * kernel.cols * kWords * kWordBits;
    ceilings.b1 = products_per_second(
        n, [&] { panels.run(a.data(), kWords, kernel.rows, BitOp::exclusive_or, c.data()); });
  }
  return ceilings;
}

}  // namespace earbit
