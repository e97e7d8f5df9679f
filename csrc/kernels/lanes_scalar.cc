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

}  // namespace

extern const LaneKernels kLanesScalar;
const LaneKernels kLanesScalar = {"lanes_scalar",    Isa::scalar, gelu,      at_least<float>,
                                  at_least<int32_t>, least_i32,   scale_i32, quantize,
                                  largest_i32,       exp_i32};

}  // namespace earbit
