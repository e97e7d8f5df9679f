// conv_i8: gemm_i8 over windows of frames.
#include "graph/op.h"

namespace earbit {

std::unique_ptr<Op> make_conv_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  return make_gemm_i8(inputs, attributes);
}

}  // namespace earbit
