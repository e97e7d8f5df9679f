#include "kernels/exp.h"

namespace earbit {

extern const ExpKernels kExpScalar;
#if defined(__x86_64__)
extern const ExpKernels kExpAvx2;
extern const ExpKernels kExpAvx512;
#endif

const std::vector<const ExpKernels*>& all_exp_kernels() {
  static const std::vector<const ExpKernels*> sets = {
      &kExpScalar,
#if defined(__x86_64__)
      &kExpAvx2,
      &kExpAvx512,
#endif
  };
  return sets;
}

const ExpKernels& exp_kernels(Isa isa) {
  const ExpKernels* best = &kExpScalar;
  for (const ExpKernels* set : all_exp_kernels()) {
    if (set->isa <= isa) best = set;
  }
  return *best;
}

}  // namespace earbit
