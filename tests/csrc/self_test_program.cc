// The self-test of all kernels without Python, for CPUs on which there is none: one line per
// kernel; ends with an error when one is wrong.
#include <cstdio>

#include "cpu/isa.h"
#include "self_test/self_test.h"

int main() {
  int n_wrong = 0;
  std::printf("isa %s\n", earbit::name_of(earbit::chosen_isa()));
  for (const earbit::SelfTest& test : earbit::self_test()) {
    std::printf("%s %s, %s\n", test.kernel.c_str(), test.is_ok ? "ok" : "WRONG",
                test.detail.c_str());
    n_wrong += !test.is_ok;
  }
  return n_wrong == 0 ? 0 : 1;
}
