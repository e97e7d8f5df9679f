// libearbit with too little memory: every call that finds too little says what would help it, and
// works when there is memory again.
//
// no_memory PROGRAM
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "earbit.h"
#include "fuzz/limited_memory.h"

namespace {

constexpr size_t kMost = size_t{1} << 24;  // more than any of these calls takes

// Calls with more and more memory until there is enough; how often there was too little.
template <typename Call>
int n_short(const char* what, const char* word, Call&& call) {
  int n = 0;
  for (size_t n_bytes = 0; n_bytes < kMost; n_bytes += 64 + n_bytes / 16) {
    earbit_status status;
    {
      const LimitedMemory memory(n_bytes);
      status = call();
    }
    if (status == EARBIT_OK) return n;
    if (status != EARBIT_NO_MEMORY || std::strstr(earbit_error(), word) == nullptr) {
      std::fprintf(stderr, "%s with %zu bytes: status %d, '%s'\n", what, n_bytes, status,
                   earbit_error());
      std::exit(1);
    }
    ++n;
  }
  std::fprintf(stderr, "%s: never enough\n", what);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  earbit_program* program = nullptr;
  const int n_opened =
      n_short("open", "open the program", [&] { return earbit_open(argv[1], &program); });
  const std::vector<float> samples(1600, 0.5f);
  const auto n_samples = static_cast<int64_t>(samples.size());
  std::vector<float> features(earbit_n_frames(program, n_samples) * earbit_width(program));
  const auto n = static_cast<int64_t>(features.size());
  const int n_run = n_short("run", "shorter audio", [&] {
    return earbit_run(program, samples.data(), n_samples, 1, features.data(), n);
  });
  earbit_close(program);
  std::printf("too little for %d opens and %d runs\n", n_opened, n_run);
  return n_opened > 0 && n_run > 0 ? 0 : 1;
}
