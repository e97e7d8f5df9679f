// Programs that get an op while memory is short: whatever it is short of, the program stays what it
// was, and takes the op when there is memory again.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "fuzz/limited_memory.h"
#include "graph/program.h"

namespace {

using earbit::Attributes;
using earbit::Program;

constexpr int kMostOps = 20;
constexpr size_t kMostBytes = 4096;  // more than any of these ops takes

// Ops that join the chain of the one before, and ops that begin one.
const char* name_of(int i) { return i % 3 == 2 ? "mean_frames" : "relu"; }

void add(Program& program, int i) {
  Attributes none({}, {}, {});
  program.add(name_of(i), {i}, none);
}

void expect(bool is_so, int n_ops, size_t n_bytes) {
  if (is_so) return;
  std::fprintf(stderr, "op %d, %zu bytes: the program is another one\n", n_ops, n_bytes);
  std::exit(1);
}

// Whether an op behind n_ops others finds enough memory in n_bytes.
bool fits(int n_ops, size_t n_bytes) {
  Program program;
  for (int i = 0; i < n_ops; ++i) add(program, i);
  bool is_added = true;
  try {
    const LimitedMemory memory(n_bytes);
    add(program, n_ops);
  } catch (const std::bad_alloc&) {
    is_added = false;
  }
  expect(program.n_values() == n_ops + 1 + (is_added ? 1 : 0), n_ops, n_bytes);
  for (int i = n_ops + (is_added ? 1 : 0); i < n_ops + 3; ++i) add(program, i);
  const std::vector<float> audio = {-1, 2, -3, 4};
  std::string names;
  for (const earbit::OpTime& op : program.profile(audio.data(), 4, 1)) names += op.name + "+";
  std::string expected;
  for (int i = 0; i < n_ops + 3; ++i) expected += std::string(name_of(i)) + "+";
  expect(names == expected, n_ops, n_bytes);
  const earbit::Value y = program.run(audio.data(), 4, {n_ops + 3}, 1).front();
  expect(*y.floats.get() == (n_ops + 3 > 2 ? 1.5f : 0.0f), n_ops, n_bytes);
  return is_added;
}

}  // namespace

int main() {
  int n_refused = 0;
  for (int n_ops = 0; n_ops < kMostOps; ++n_ops) {
    size_t n_bytes = 0;
    for (; n_bytes < kMostBytes && !fits(n_ops, n_bytes); n_bytes += 8) ++n_refused;
    if (n_bytes >= kMostBytes) return 1;
  }
  std::printf("%d refused\n", n_refused);
  return n_refused > kMostOps ? 0 : 1;
}
