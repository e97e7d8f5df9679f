// attention_f32: attention on floats over all frames or a window, or with a position bias.
#include "ops/attention_in_f32.h"

namespace earbit {

std::unique_ptr<Op> make_attention_f32(const std::vector<Type>& inputs, Attributes& attributes) {
  const AttentionPattern pattern = AttentionPattern::read(inputs, attributes);
  expect_floats(pattern.operands(inputs), 3);
  return std::make_unique<Attention<AttentionInF32>>(inputs, attributes, pattern);
}

}  // namespace earbit
