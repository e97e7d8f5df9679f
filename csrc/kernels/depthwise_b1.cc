#include "kernels/depthwise_b1.h"

#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, name)                                                                \
  void name(const uint64_t* x, const uint64_t* w, int n_channels, int kernel, int shift, \
            bool is_unsigned, int32_t* dot);
#include "kernels/depthwise_b1.def"
#undef KERNEL

const std::vector<DepthwiseB1Kernel>& depthwise_b1_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<DepthwiseB1Kernel>{
#define KERNEL(isa, name) {#name, Isa::isa, name},
#include "kernels/depthwise_b1.def"
#undef KERNEL
  };
  return kernels;
}

const DepthwiseB1Kernel& depthwise_b1_kernel(Isa isa) {
  return best_of(depthwise_b1_kernels(), isa);
}

}  // namespace earbit
