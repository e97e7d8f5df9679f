// The self-tests of softmax_b1, elementwise, exp and log_mel for AVX-512 kernels that are compiled
// against emulated/immintrin.h, each beside the scalar one; tests/runtime/test_avx512_emulated.py
// loads it.
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/softmax_b1.h"
#include "self_test/self_test.h"

namespace earbit {

extern const ElementwiseKernels kElementwiseScalar;
extern const ElementwiseKernels kElementwiseAvx512bw;
extern const ExpKernels kExpScalar;
extern const ExpKernels kExpAvx512bw;

bool is_available(Isa) { return true; }
bool includes(Isa isa, Isa other) { return other <= isa; }

const std::vector<const ElementwiseKernels*>& all_elementwise_kernels() {
  static const std::vector<const ElementwiseKernels*> sets = {&kElementwiseScalar,
                                                              &kElementwiseAvx512bw};
  return sets;
}

const ElementwiseKernels& elementwise_kernels(Isa isa) {
  return isa == Isa::scalar ? kElementwiseScalar : kElementwiseAvx512bw;
}

const std::vector<const ExpKernels*>& all_exp_kernels() {
  static const std::vector<const ExpKernels*> sets = {&kExpScalar, &kExpAvx512bw};
  return sets;
}

const ExpKernels& exp_kernels(Isa isa) { return isa == Isa::scalar ? kExpScalar : kExpAvx512bw; }

}  // namespace earbit

// A line per kernel: its name, ok or WRONG, and what was tried.
extern "C" const char* self_tested() {
  static std::string said;
  said.clear();
  for (const auto& tests : {earbit::self_test_softmax_b1(), earbit::self_test_elementwise(),
                            earbit::self_test_exp(), earbit::self_test_log_mel()}) {
    for (const earbit::SelfTest& test : tests) {
      said += test.kernel + (test.is_ok ? " ok, " : " WRONG, ") + test.detail + "\n";
    }
  }
  return said.c_str();
}
