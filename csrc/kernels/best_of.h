// Selects the kernel for an instruction set.
#pragma once

#include <vector>

#include "cpu/isa.h"

namespace earbit {

template <typename Kernel>
Isa isa_of(const Kernel& kernel) {
  return kernel.isa;
}

template <typename Kernel>
Isa isa_of(const Kernel* kernel) {
  return kernel->isa;
}

// The kernel of an instruction set, or of the best one that it includes and that has a kernel.
// kernels: the scalar one first, or pointers to them, in the order of instruction sets.
template <typename Kernel>
const Kernel& best_of(const std::vector<Kernel>& kernels, Isa isa) {
  const Kernel* best = &kernels.front();
  for (const Kernel& kernel : kernels) {
    if (includes(isa, isa_of(kernel))) best = &kernel;
  }
  return *best;
}

}  // namespace earbit
