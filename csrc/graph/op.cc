#include "graph/op.h"

#include <map>
#include <stdexcept>

namespace earbit {

std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes) {
  static const std::map<std::string, MakeOp> makers = {
      {"waveform_bits", make_waveform_bits},
      {"conv_f32", make_conv_f32},
      {"group_norm", make_group_norm},
      {"layer_norm", make_layer_norm},
      {"gelu", make_gelu},
      {"relu", make_relu},
      {"add", make_add},
      {"pack", make_pack},
      {"gemm_b1", make_product_b1},
      {"conv_b1", make_product_b1},
      {"attention_b1", make_attention_b1},
      {"attention_f32", make_attention_f32},
  };
  const auto found = makers.find(name);
  if (found == makers.end()) {
    std::string allowed;
    for (const auto& [known, maker] : makers) allowed += (allowed.empty() ? "" : ", ") + known;
    throw std::invalid_argument("unknown op '" + name + "'; known are " + allowed);
  }
  std::unique_ptr<Op> op = found->second(inputs, attributes);
  attributes.finish();
  return op;
}

namespace {

void expect(const std::vector<Type>& inputs, size_t n, bool is_bits) {
  if (inputs.size() != n) {
    throw std::invalid_argument(std::to_string(inputs.size()) + " inputs, expected " +
                                std::to_string(n));
  }
  for (const Type& input : inputs) {
    if (input.is_bits != is_bits) {
      throw std::invalid_argument(is_bits ? "an input is floats, expected bits"
                                          : "an input is bits, expected floats");
    }
  }
}

}  // namespace

void expect_floats(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, false); }
void expect_bits(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, true); }

}  // namespace earbit
