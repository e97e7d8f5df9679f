#include "graph/op.h"

#include <map>
#include <stdexcept>

namespace earbit {

std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes) {
  // Never destroyed: a thread may still load a program while the process exits.
  static const auto& makers = *new std::map<std::string, MakeOp>{
#define OP(name) {#name, make_##name},
#include "graph/ops.def"
#undef OP
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
