// relative_attention_b1: attention on bits with relative positions; inputs q, p, k, r, v.
#include "ops/attention_in_b1.h"

namespace earbit {

std::unique_ptr<Op> make_relative_attention_b1(const std::vector<Type>& inputs,
                                               Attributes& attributes) {
  expect_bits(inputs, 5);
  const AttentionPattern pattern = AttentionPattern::relative({0, 1, 2, 3, 4});
  return std::make_unique<Attention<AttentionInB1>>(inputs, attributes, pattern);
}

}  // namespace earbit
