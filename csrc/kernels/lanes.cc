#include "kernels/lanes.h"

namespace earbit {

extern const LaneKernels kLanesScalar;
#if defined(__x86_64__)
extern const LaneKernels kLanesAvx2;
#endif

const LaneKernels& lane_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa != Isa::scalar) return kLanesAvx2;
#endif
  static_cast<void>(isa);
  return kLanesScalar;
}

}  // namespace earbit
