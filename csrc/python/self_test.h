// Holds every kernel that this CPU can run against plain loops.
#pragma once

#include <string>
#include <vector>

namespace earbit {

struct SelfTest {
  std::string kernel;
  bool is_ok;
  std::string detail;  // the shape that failed, or how many were tried
};

std::vector<SelfTest> self_test();

}  // namespace earbit
