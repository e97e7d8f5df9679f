// Input check of all binary attention ops: packed heads of equal size.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/value.h"

namespace earbit {

// Reads the attribute head_dim; throws std::invalid_argument unless all inputs have the same number
// of heads with this many bits.  Called before any allocation that depends on it.
inline int head_dim_of_bits(const std::vector<Type>& inputs, Attributes& attributes) {
  const int d = attributes.integer("head_dim", 1, 1 << 15);
  for (const Type& input : inputs) {
    if (input.groups != inputs[0].groups || input.bits_per_group != d) {
      throw std::invalid_argument(
          "the inputs must have the same heads of head_dim=" + std::to_string(d) + " bits");
    }
  }
  return d;
}

}  // namespace earbit
