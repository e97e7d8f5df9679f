// How many one-bit products per second a core can do at best: the instructions that a gemm_b1
// kernel cannot do without, on registers alone, with nothing loaded or stored.
//
// Usage: gemm_b1_ceiling avx2|avx512bw|avx512.  Prints a line "name GMAC/s" per bound.
#include <chrono>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kSteps = 100'000;  // shorter than the time slice of a busy machine
constexpr int kRepeats = 180;

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
#define ADD(from, sum) "vpaddb %%ymm" from ", %%ymm" sum ", %%ymm" sum "\n\t"
#define LOOK_UP(sum) SHUFFLE("12") ADD("12", sum)
// Three look-ups for two rows, whose counts are then separated.
#define LOOK_UP_TWO_ROWS(sum) \
  SHUFFLE("12")               \
  SHUFFLE("13")               \
  SHUFFLE("14")               \
  ADD("13", "12")             \
  ADD("14", "12")             \
  ADD("12", "8")              \
  "vpsrlw $4, %%ymm12, %%ymm13\n\tvpand %%ymm10, %%ymm13, %%ymm13\n\t" ADD("13", sum)
#define WIDE_SHUFFLE(to) "vpshufb %%zmm10, %%zmm11, %%zmm" to "\n\t"
#define WIDE_ADD(from, sum) "vpaddb %%zmm" from ", %%zmm" sum ", %%zmm" sum "\n\t"
#define WIDE_LOOK_UP_TWO_ROWS(sum) \
  WIDE_SHUFFLE("12")               \
  WIDE_SHUFFLE("13")               \
  WIDE_SHUFFLE("14")               \
  WIDE_ADD("13", "12")             \
  WIDE_ADD("14", "12")             \
  WIDE_ADD("12", "8")              \
  "vpsrlw $4, %%zmm12, %%zmm13\n\tvpandd %%zmm10, %%zmm13, %%zmm13\n\t" WIDE_ADD("13", sum)
#define XOR_COUNT_ADD(sum)               \
  "vpxord %%zmm10, %%zmm11, %%zmm12\n\t" \
  "vpopcntd %%zmm12, %%zmm12\n\t"        \
  "vpaddd %%zmm12, %%zmm" sum ", %%zmm" sum "\n\t"
#define EIGHT(op) op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7")
#define CLOBBERED                                                                           \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm10", "xmm11", \
      "xmm12", "xmm13", "xmm14"

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments == 2 && std::strcmp(arguments[1], "avx2") == 0) {
    // A look-up finds 4 bits of 32 outputs, of a row or of two.
    const double one = best_gmacs(8 * 128, [] { asm volatile(EIGHT(LOOK_UP)::: CLOBBERED); });
    const double two = best_gmacs(8 * 3 * 256, [] {
      asm volatile(EIGHT(LOOK_UP_TWO_ROWS)::: CLOBBERED);
    });
    std::printf("one-row %.1f\ntwo-rows %.1f\n", one, two);
    return 0;
  }
  if (n_arguments == 2 && std::strcmp(arguments[1], "avx512bw") == 0) {
    const double two = best_gmacs(8 * 3 * 512, [] {
      asm volatile(EIGHT(WIDE_LOOK_UP_TWO_ROWS)::: CLOBBERED);
    });
    std::printf("two-rows %.1f\n", two);
    return 0;
  }
  if (n_arguments == 2 && std::strcmp(arguments[1], "avx512") == 0) {
    const double all = best_gmacs(8 * 512, [] { asm volatile(EIGHT(XOR_COUNT_ADD)::: CLOBBERED); });
    std::printf("xor+popcount+add %.1f\n", all);
    return 0;
  }
  std::fprintf(stderr, "usage: gemm_b1_ceiling avx2|avx512bw|avx512\n");
  return 2;
}
