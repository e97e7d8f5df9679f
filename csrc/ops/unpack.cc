// unpack: converts bits to 1-bit codes, for products that read only codes.
#include "graph/op.h"

namespace earbit {
namespace {

class Unpack : public Op {
 public:
  Unpack(const Type& input, bool is_unsigned)
      : in_(input), type_(Type::codes(input.groups * input.bits_per_group, {1, is_unsigned})) {}

  const Type& type() const override { return type_; }

  void run_rows(const Block& block) const override {
    for (int64_t i = block.rows.begin; i < block.rows.end; ++i) {
      uint8_t* out = block.y.codes_row(i);
      for (int g = 0; g < in_.groups; ++g) {
        const uint64_t* words = block.inputs[0].bits_row(g, i);
        for (int j = 0; j < in_.bits_per_group; ++j) {
          *out++ = static_cast<uint8_t>(words[j / kWordBits] >> (j % kWordBits) & 1);
        }
      }
    }
  }

 private:
  Type in_;
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_unpack(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_bits(inputs, 1);
  return std::make_unique<Unpack>(inputs[0], attributes.integer("unsigned", 0, 1) == 1);
}

}  // namespace earbit
