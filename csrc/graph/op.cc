#include "graph/op.h"

#include <stdexcept>

namespace earbit {

int64_t Op::rows(const std::vector<int64_t>& inputs) const {
  int64_t n = -1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Needs needs = this->needs(i);
    if (needs.is_all) continue;
    const int64_t count = needs.count(inputs[i]);
    if (count == 0 && !needs.is_row()) {
      throw std::invalid_argument(std::to_string(inputs[i]) +
                                  " frames are too few for a window of " +
                                  std::to_string(needs.left + needs.right + 1));
    }
    if (n >= 0 && count != n) {
      throw UnfitRows(std::to_string(n) + " and " + std::to_string(count) + " frames");
    }
    n = count;
  }
  return n >= 0 ? n : inputs[0];
}

std::span<const OpEntry> all_ops() {
  static constexpr OpEntry kOps[] = {
#define OP(name, text) {#name, text, make_##name},
#include "graph/ops.def"
#undef OP
  };
  return kOps;
}

std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes) {
  std::string known;
  for (const OpEntry& entry : all_ops()) {
    if (name == entry.name) {
      std::unique_ptr<Op> op = entry.make(inputs, attributes);
      attributes.finish();
      return op;
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw std::invalid_argument("unknown op '" + name + "'; known are " + known);
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
  expect_inputs(inputs, n);
  for (const Type& input : inputs) {
    if (input.kind != kind) {
      throw std::invalid_argument(std::string("an input is ") + name_of(input.kind) +
                                  ", expected " + name_of(kind));
    }
  }
}

}  // namespace

void expect_inputs(const std::vector<Type>& inputs, size_t n) {
  if (inputs.size() == n) return;
  throw std::invalid_argument(std::to_string(inputs.size()) + " inputs, expected " +
                              std::to_string(n));
}

void expect_floats(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::floats); }
void expect_bits(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::bits); }
void expect_codes(const std::vector<Type>& inputs, size_t n) { expect(inputs, n, Kind::codes); }

}  // namespace earbit
