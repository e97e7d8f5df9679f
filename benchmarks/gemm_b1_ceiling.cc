// How many one-bit products per second a core can do at best: the instructions that a gemm_b1
// kernel cannot do without, on registers alone, with nothing loaded or stored.
//
// Usage: gemm_b1_ceiling avx2|avx512.  Prints a line "name GMAC/s" per bound.
#include <chrono>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kSteps = 2'000'000;
constexpr int kRepeats = 9;

// Best of several runs, in 10^9 products per second.
template <typename Step>
double best_gmacs(double macs_per_step, Step&& step) {
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kSteps; ++i) step();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double gmacs = macs_per_step * kSteps / elapsed.count() * 1e-9;
    if (gmacs > best) best = gmacs;
  }
  return best;
}

// Assembly, because a compiler would remove work whose result is the same every time.
#define SHUFFLE(to) "vpshufb %%ymm10, %%ymm11, %%ymm" to "\n\t"
#define SHUFFLE_ADD(sum) \
  "vpshufb %%ymm10, %%ymm11, %%ymm12\n\tvpaddb %%ymm12, %%ymm" sum ", %%ymm" sum "\n\t"
#define XOR_COUNT_ADD(sum)               \
  "vpxord %%zmm10, %%zmm11, %%zmm12\n\t" \
  "vpopcntd %%zmm12, %%zmm12\n\t"        \
  "vpaddd %%zmm12, %%zmm" sum ", %%zmm" sum "\n\t"
#define EIGHT(op) op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7")
#define CLOBBERED \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm10", "xmm11", "xmm12"

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments == 2 && std::strcmp(arguments[1], "avx2") == 0) {
    // A shuffle looks up 4 bits of 32 outputs.
    const double shuffles = best_gmacs(8 * 128, [] { asm volatile(EIGHT(SHUFFLE)::: CLOBBERED); });
    const double both = best_gmacs(8 * 128, [] { asm volatile(EIGHT(SHUFFLE_ADD)::: CLOBBERED); });
    std::printf("shuffle %.1f\nshuffle+add %.1f\n", shuffles, both);
    return 0;
  }
  if (n_arguments == 2 && std::strcmp(arguments[1], "avx512") == 0) {
    const double all = best_gmacs(8 * 512, [] { asm volatile(EIGHT(XOR_COUNT_ADD)::: CLOBBERED); });
    std::printf("xor+popcount+add %.1f\n", all);
    return 0;
  }
  std::fprintf(stderr, "usage: gemm_b1_ceiling avx2|avx512\n");
  return 2;
}
