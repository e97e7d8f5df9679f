#include "graph/op.h"

#include <map>
#include <stdexcept>

namespace earbit {

std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes) {
  // Never destroyed: a thread may still load a program while the process exits.
  static const auto& makers = *new std::map<std::string, MakeOp>{
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
      {"silu", make_silu},
      {"glu", make_glu},
      {"depthwise_f32", make_depthwise_f32},
      {"depthwise_b1", make_depthwise_b1},
      {"depthwise_i8", make_depthwise_i8},
      {"sinusoids", make_sinusoids},
      {"repeat", make_repeat},
      {"relative_attention_b1", make_relative_attention_b1},
      {"relative_attention_f32", make_relative_attention_f32},
      {"relative_attention_i8", make_relative_attention_i8},
      {"fixed_attention_b1", make_fixed_attention_b1},
      {"fixed_attention_f32", make_fixed_attention_f32},
      {"strided_attention_b1", make_strided_attention_b1},
      {"strided_attention_f32", make_strided_attention_f32},
      {"fixed_attention_i8", make_fixed_attention_i8},
      {"strided_attention_i8", make_strided_attention_i8},
      {"quantize", make_quantize},
      {"unpack", make_unpack},
      {"gemm_i8", make_product_i8},
      {"conv_i8", make_product_i8},
      {"gemm_planes", make_product_planes},
      {"conv_planes", make_product_planes},
      {"attention_i8", make_attention_i8},
      {"mean_frames", make_mean_frames},
      {"weighted_sum", make_weighted_sum},
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

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::floats:
      return "floats";
    case Kind::bits:
      return "bits";
    case Kind::codes:
      return "codes";
  }
  return "unknown";
}

void expect(const std::vector<Type>& inputs, size_t n, Kind kind) {
  if (inputs.size() != n) {
    throw std::invalid_argument(std::to_string(inputs.size()) + " inputs, expected " +
                                std::to_string(n));
  }
  for (const Type& input : inputs) {
    if (input.kind != kind) {
      throw std::invalid_argument(std::string("an input is ") + name_of(input.kind) +
                                  ", expected " + name_of(kind));
    }
  }
}

}  // namespace

void expect_floats(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::floats); }
void expect_bits(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::bits); }
void expect_codes(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::codes); }

}  // namespace earbit
