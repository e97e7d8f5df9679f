// conv_planes: gemm_planes over windows of frames.
#include "graph/op.h"

namespace earbit {

std::unique_ptr<Op> make_conv_planes(const std::vector<Type>& inputs, Attributes& attributes) {
  return make_gemm_planes(inputs, attributes);
}

}  // namespace earbit
