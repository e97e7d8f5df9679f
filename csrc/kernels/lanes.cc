#include "kernels/lanes.h"

#include "kernels/best_of.h"

namespace earbit {

extern const LaneKernels kLanesScalar;
#if defined(__x86_64__)
extern const LaneKernels kLanesAvx2;
extern const LaneKernels kLanesAvx512;
#elif defined(__aarch64__)
extern const LaneKernels kLanesNeon;
#endif

const std::vector<const LaneKernels*>& all_lane_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& sets = *new std::vector<const LaneKernels*>{
      &kLanesScalar,
#if defined(__x86_64__)
      &kLanesAvx2,
      &kLanesAvx512,
#elif defined(__aarch64__)
      &kLanesNeon,
#endif
  };
  return sets;
}

const LaneKernels& lane_kernels(Isa isa) { return *best_of(all_lane_kernels(), isa); }

}  // namespace earbit
