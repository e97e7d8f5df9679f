#include <cstring>

#include "bits/layout.h"
#include "kernels/elementwise.h"

namespace earbit {
namespace {

#include "kernels/elementwise_loops.h"

template <typename T>
uint64_t at_least(const T* x, const T* threshold, int n) {
  uint64_t bits = 0;
  for (int i = 0; i < n; ++i) bits |= static_cast<uint64_t>(x[i] >= threshold[i]) << i;
  return bits;
}

void pack_dots_one_by_one(const DotTile& tile, const int32_t* threshold, uint64_t* bits,
                          ptrdiff_t bits_stride) {
  const int32_t factor = tile.is_signed ? -2 : 2;
  for (int i = 0; i < tile.n_rows; ++i) {
    const int32_t* c = tile.counts + i * tile.stride;
    uint64_t word = 0;
    for (int j = 0; j < tile.n_cols; ++j) {
      word |= static_cast<uint64_t>(tile.offsets[i] + factor * c[j] >= threshold[j]) << j;
    }
    bits[i * bits_stride] = word;
  }
}

int64_t n_ones(const uint64_t* words, int64_t n) {
  int64_t ones = 0;
  for (int64_t i = 0; i < n; ++i) ones += popcount(words[i]);
  return ones;
}

}  // namespace

extern const ElementwiseKernels kElementwiseScalar;
const ElementwiseKernels kElementwiseScalar = {
    .name = "elementwise_scalar",
    .isa = Isa::scalar,
    .gelu = gelu,
    .at_least_f32 = at_least<float>,
    .at_least_i32 = at_least<int32_t>,
    .not_below = not_below<at_least<float>>,
    .scale_i32 = scale_i32,
    .scale_sums = scale_sums,
    .pack_dots = pack_dots_one_by_one,
    .scale_dots = scale_dots,
    .layer_norm = layer_norm,
    .add = add,
    .n_ones = n_ones,
    .add_moments = add_moments,
    .fir_bits = fir_bits<2, 4, at_least<float>>,
    .depthwise = depthwise<4>,
    .add_distances = add_distances,
    .add_squares = add_squares,
    .affine = affine,
    .channel_dots = channel_dots,
    .quantize = quantize,
};

}  // namespace earbit
