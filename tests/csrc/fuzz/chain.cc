#include "fuzz/chain.h"

#include <algorithm>

namespace {

using Tokens = std::vector<std::string>;

// What lies between the brackets that stand behind a key: [first, last), or nothing.
struct Span {
  size_t first = 0;
  size_t last = 0;
};

Span inside(const Tokens& tokens, const std::string& key) {
  const auto found = std::find(tokens.begin(), tokens.end(), quoted(key));
  const auto open = static_cast<size_t>(found - tokens.begin()) + 2;  // behind the colon
  if (open >= tokens.size()) return {};
  const size_t end = end_of_value(tokens, open);
  return end < open + 2 ? Span{} : Span{open + 1, end - 1};
}

std::vector<Tokens> values_in(const Tokens& tokens, const Span& span) {
  std::vector<Tokens> values;
  for (size_t i = span.first; i < span.last; ++i) {  // and a comma
    const size_t end = std::min(end_of_value(tokens, i), span.last);
    values.emplace_back(tokens.begin() + i, tokens.begin() + end);
    i = end;
  }
  return values;
}

// Names of tensors become new ones, of copies.
void rename_tensors(Tokens& op, const std::string& prefix, Seed& seed) {
  const Span names = inside(op, "tensors");
  for (size_t i = names.first; i < names.last; ++i) {
    for (size_t t = seed.tensors.size(); t-- > 0;) {
      if (op[i - 1] != ":" || op[i] != quoted(seed.tensors[t].name)) continue;
      Seed::Tensor copy = seed.tensors[t];
      copy.name.insert(0, prefix);
      op[i] = quoted(copy.name);
      seed.tensors.push_back(std::move(copy));
      break;
    }
  }
}

}  // namespace

void chain(Seed& seed, Random& random) {
  Tokens tokens = tokens_of(seed.program);
  const Span ops = inside(tokens, "ops");
  const std::vector<Tokens> records = values_in(tokens, ops);
  if (records.empty()) return;
  const Tokens& record = records[below(random, records.size())];
  const size_t n_copies = 1 + below(random, random() % 2 == 0 ? 4 : 70);
  Tokens copies;
  for (size_t copy = 0; copy < n_copies; ++copy) {
    Tokens op = record;
    rename_tensors(op, std::to_string(records.size() + copy) + "+", seed);
    const Span inputs = inside(op, "inputs");
    for (size_t i = inputs.first; i < inputs.last; ++i) {
      if (op[i] != ",") op[i] = std::to_string(records.size() + copy);
    }
    copies.emplace_back(",");
    copies.insert(copies.end(), op.begin(), op.end());
  }
  tokens.insert(tokens.begin() + ops.last, copies.begin(), copies.end());
  const Span outputs = inside(tokens, "outputs");
  tokens.erase(tokens.begin() + outputs.first, tokens.begin() + outputs.last);
  if (outputs.first > 0) {
    tokens.insert(tokens.begin() + outputs.first, std::to_string(records.size() + n_copies));
  }
  seed.program.clear();
  for (const std::string& token : tokens) seed.program += token;
}
