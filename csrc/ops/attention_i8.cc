// attention_i8: attention on codes over all frames or a window, or with a position bias.
#include "ops/attention_in_i8.h"

namespace earbit {

std::unique_ptr<Op> make_attention_i8(const std::vector<Type>& inputs, Attributes& attributes) {
  const AttentionPattern pattern = AttentionPattern::read(inputs, attributes);
  expect_codes(pattern.operands(inputs), 3);
  return std::make_unique<Attention<AttentionInI8>>(inputs, attributes, pattern);
}

}  // namespace earbit
