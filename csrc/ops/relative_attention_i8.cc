// relative_attention_i8: attention on codes with relative positions; inputs q, p, k, r, v.
#include "ops/attention_in_i8.h"

namespace earbit {

std::unique_ptr<Op> make_relative_attention_i8(const std::vector<Type>& inputs,
                                               Attributes& attributes) {
  expect_codes(inputs, 5);
  const AttentionPattern pattern = AttentionPattern::relative({0, 1, 2, 3, 4});
  return std::make_unique<Attention<AttentionInI8>>(inputs, attributes, pattern);
}

}  // namespace earbit
