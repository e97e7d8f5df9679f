#include "kernels/exp.h"

#include "kernels/best_of.h"

namespace earbit {

extern const ExpKernels kExpScalar;
#if defined(__x86_64__)
extern const ExpKernels kExpAvx2;
extern const ExpKernels kExpAvx512bw;
#elif defined(__aarch64__)
extern const ExpKernels kExpNeon;
#endif

const std::vector<const ExpKernels*>& all_exp_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& sets = *new std::vector<const ExpKernels*>{
      &kExpScalar,
#if defined(__x86_64__)
      &kExpAvx2,
      &kExpAvx512bw,
#elif defined(__aarch64__)
      &kExpNeon,
#endif
  };
  return sets;
}

const ExpKernels& exp_kernels(Isa isa) { return *best_of(all_exp_kernels(), isa); }

}  // namespace earbit
