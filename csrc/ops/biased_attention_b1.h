// attention_b1 with a gated position bias.
#pragma once

#include <memory>
#include <vector>

#include "graph/op.h"

namespace earbit {

// inputs: q, k and v bits, gate and position bias floats (ops/position_bias.h).
std::unique_ptr<Op> make_biased_attention_b1(const std::vector<Type>& inputs,
                                             Attributes& attributes);

}  // namespace earbit
