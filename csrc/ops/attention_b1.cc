// attention_b1: attention on bits over all frames or a window, or with a position bias.
#include "ops/attention_in_b1.h"

namespace earbit {

std::unique_ptr<Op> make_attention_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  const AttentionPattern pattern = AttentionPattern::read(inputs, attributes);
  expect_bits(pattern.operands(inputs), 3);
  return std::make_unique<Attention<AttentionInB1>>(inputs, attributes, pattern);
}

}  // namespace earbit
