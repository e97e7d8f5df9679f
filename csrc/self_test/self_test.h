// Compares every kernel that this CPU supports with plain loops.
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

// Parts of the self test in other files.
std::vector<SelfTest> self_test_conv_b1();
std::vector<SelfTest> self_test_depthwise_b1();
std::vector<SelfTest> self_test_exp();
std::vector<SelfTest> self_test_elementwise();
std::vector<SelfTest> self_test_log_mel();
std::vector<SelfTest> self_test_softmax_b1();

}  // namespace earbit
