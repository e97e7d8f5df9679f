#include "kernels/elementwise.h"

#include "kernels/best_of.h"

namespace earbit {

extern const ElementwiseKernels kElementwiseScalar;
#if defined(__x86_64__)
extern const ElementwiseKernels kElementwiseAvx2;
extern const ElementwiseKernels kElementwiseAvx512bw;
#elif defined(__aarch64__)
extern const ElementwiseKernels kElementwiseNeon;
#endif

const std::vector<const ElementwiseKernels*>& all_elementwise_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& sets = *new std::vector<const ElementwiseKernels*>{
      &kElementwiseScalar,
#if defined(__x86_64__)
      &kElementwiseAvx2,
      &kElementwiseAvx512bw,
#elif defined(__aarch64__)
      &kElementwiseNeon,
#endif
  };
  return sets;
}

const ElementwiseKernels& elementwise_kernels(Isa isa) {
  return *best_of(all_elementwise_kernels(), isa);
}

}  // namespace earbit
