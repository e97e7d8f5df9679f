// Audio of so many samples that what follows from it would be larger than any value may be: numbers
// of rows are refused before they overflow.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "graph/program.h"

namespace {

using earbit::Attributes;
using earbit::kMaxRows;
using earbit::Program;

void expect(bool is_so, int64_t n_samples) {
  if (is_so) return;
  std::fprintf(stderr, "%lld samples: not the rows that there are\n",
               static_cast<long long>(n_samples));
  std::exit(1);
}

bool is_refused(const Program& program, int64_t n_samples) {
  try {
    program.rows(n_samples);
    return false;
  } catch (const std::invalid_argument&) {
    return true;
  }
}

}  // namespace

int main() {
  const float frequency = 1;
  Attributes attributes({{"columns", 1}}, {},
                        {{"frequency", {earbit::Dtype::f32, {1}, &frequency}}});
  Program program;
  program.add("sinusoids", {0}, attributes);
  constexpr int64_t kMost = kMaxRows / 2;
  expect(program.rows(kMost) == std::vector<int64_t>({kMost, 2 * kMost - 1}), kMost);
  for (const int64_t n : {kMost + 1, kMaxRows, kMaxRows + 1, INT64_MAX / 2 + 2, INT64_MAX}) {
    expect(is_refused(program, n), n);
  }
  return 0;
}
