// conv_b1: gemm_b1 over windows of frames.
#include "graph/op.h"

namespace earbit {

std::unique_ptr<Op> make_conv_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  return make_gemm_b1(inputs, attributes);
}

}  // namespace earbit
