// Integer kernels and ops, and log_mel, at random shapes: sizes next to the borders of words and
// tiles, none and one, rows as long as accumulators allow.  Every instruction set that the CPU has
// must give the bits of plain arithmetic, on any number of threads.
//
// random_shapes N SEED: shape i follows from SEED + i alone, so `random_shapes 1 SEED+i` shows
// again what was found.  Ends with an error at the first that is wrong.  What it prints at the end
// is the same on every machine: the digest is of all results but those of the softmax of
// attention_b1.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "cpu/isa.h"
#include "shapes/families.h"

namespace {

struct Family {
  const char* name;
  void (*try_shape)(shapes::Draw& draw, shapes::Digest& digest);
};

constexpr Family kFamilies[] = {
    {"gemm_b1 kernels", shapes::try_gemm_b1},
    {"gemm_i8 kernels", shapes::try_gemm_i8},
    {"depthwise_b1 kernels", shapes::try_depthwise_b1},
    {"softmax_b1 kernels", shapes::try_softmax_b1},
    {"gemm_b1 op", shapes::try_gemm_b1_op},
    {"gemm_i8 op", shapes::try_gemm_i8_op},
    {"gemm_planes op", shapes::try_gemm_planes_op},
    {"depthwise_b1 op", shapes::try_depthwise_b1_op},
    {"depthwise_i8 op", shapes::try_depthwise_i8_op},
    {"attention_b1 op", shapes::try_attention_b1_op},
    {"attention_i8 op", shapes::try_attention_i8_op},
    {"relative_attention_i8 op", shapes::try_relative_attention_i8_op},
    {"log_mel op", shapes::try_log_mel_op},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: random_shapes N SEED\n");
    return 2;
  }
  const long n = std::atol(argv[1]);
  const unsigned long long first = std::strtoull(argv[2], nullptr, 10);
  shapes::Digest digest;
  std::printf("isa %s\n", earbit::name_of(earbit::chosen_isa()));
  for (long i = 0; i < n; ++i) {
    const unsigned long long seed = first + static_cast<unsigned long long>(i);
    shapes::Draw draw(seed);
    const Family& family = kFamilies[draw.below(std::size(kFamilies))];
    try {
      family.try_shape(draw, digest);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "seed %llu, %s: %s\n", seed, family.name, error.what());
      return 1;
    }
  }
  std::printf("%ld shapes, digest %016" PRIx64 "\n", n, digest.value());
  return 0;
}
