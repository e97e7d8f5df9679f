// What no run needs any more is given back at the end of one, where there is no memory for anything
// else.
#include <cstdio>
#include <memory>
#include <new>
#include <vector>

#include "fuzz/limited_memory.h"
#include "graph/memory.h"

namespace {

using earbit::Memory;

constexpr size_t kSizes[] = {1000, 3000, 9000};

// How many blocks of these sizes are there without new memory for them.
int n_kept(Memory& memory) {
  int n = 0;
  for (const size_t size : kSizes) {
    try {
      const LimitedMemory little(512);  // for the count of owners
      memory.take(size);
      ++n;
    } catch (const std::bad_alloc&) {
    }
  }
  return n;
}

}  // namespace

int main() {
  const auto memory = std::make_shared<Memory>();
  {
    std::vector<std::shared_ptr<void>> blocks;
    for (const size_t size : kSizes) blocks.push_back(memory->take(size));
  }
  const int n_before = n_kept(*memory);
  {
    const LimitedMemory none(0);
    for (int run = 0; run < 3; ++run) memory->trim();
  }
  std::printf("%d kept, %d after runs that took none\n", n_before, n_kept(*memory));
  return 0;
}
