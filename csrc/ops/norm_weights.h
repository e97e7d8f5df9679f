// Weights of all norm ops.
#pragma once

#include <vector>

#include "graph/attributes.h"
#include "graph/value.h"

namespace earbit {

// y = (x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance.
struct NormWeights {
  NormWeights(const Type& type, Attributes& attributes)
      : type_(type),
        weight_(attributes.f32("weight", {type_.cols})),
        bias_(attributes.f32("bias", {type_.cols})),
        eps_(attributes.positive("eps")) {}

  Type type_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  float eps_;
};

}  // namespace earbit
