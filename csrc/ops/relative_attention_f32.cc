// relative_attention_f32: attention on floats with relative positions; inputs q, k, v, r.
#include "ops/attention_in_f32.h"

namespace earbit {

std::unique_ptr<Op> make_relative_attention_f32(const std::vector<Type>& inputs,
                                                Attributes& attributes) {
  expect_floats(inputs, 4);
  const AttentionPattern pattern = AttentionPattern::relative({0, 0, 1, 3, 2});
  return std::make_unique<Attention<AttentionInF32>>(inputs, attributes, pattern);
}

}  // namespace earbit
