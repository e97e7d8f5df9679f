#include <cstring>

#include "bits/layout.h"
#include "kernels/lanes.h"

namespace earbit {
namespace {

#include "kernels/lanes_loops.h"

template <typename T>
uint64_t at_least(const T* x, const T* threshold, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; ++i) bits |= static_cast<uint64_t>(x[i] >= threshold[i]) << i;
  return bits;
}

void pack_dots(const DotTile& tile, const int32_t* threshold, uint64_t* bits) {
  for (int i = 0; i < tile.n_rows; ++i) {
    uint64_t word = 0;
    for (int j = 0; j < tile.n_cols; ++j) {
      const int32_t twice = 2 * tile.counts[i * tile.stride + j];
      const int32_t dot = tile.is_signed ? tile.offsets[i] - twice : tile.offsets[i] + twice;
      word |= static_cast<uint64_t>(dot >= threshold[j]) << j;
    }
    bits[i] = word;
  }
}

int64_t n_ones(const uint64_t* words, int64_t n) {
  int64_t ones = 0;
  for (int64_t i = 0; i < n; ++i) ones += popcount(words[i]);
  return ones;
}

}  // namespace

extern const LaneKernels kLanesScalar;
const LaneKernels kLanesScalar = {
    .name = "lanes_scalar",
    .isa = Isa::scalar,
    .gelu = gelu,
    .at_least_f32 = at_least<float>,
    .at_least_i32 = at_least<int32_t>,
    .scale_i32 = scale_i32,
    .pack_dots = pack_dots,
    .scale_dots = scale_dots,
    .layer_norm = layer_norm,
    .add = add,
    .n_ones = n_ones,
    .add_moments = add_moments,
    .fir = fir<2, 4>,
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
