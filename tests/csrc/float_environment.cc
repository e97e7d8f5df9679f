// Results depend neither on how the caller of libearbit computes with floats nor on how the thread
// did that was the first to start helpers; and the caller computes afterwards as before.  For x86.
//
// float_environment PROGRAM: one whose features are 0 where denormal numbers are.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "earbit.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

constexpr int64_t kSamples = 16'000;

#if defined(__x86_64__)
constexpr unsigned kDefault = 0x1f80;
constexpr unsigned kFlushed = 0x9fc0;    // FTZ and DAZ, as audio hosts set them
constexpr unsigned kTruncated = 0x7f80;  // towards 0
constexpr unsigned kFlags = 0x3f;

// Features on n_threads threads for a caller with `control` in MXCSR.
std::vector<float> features(const char* path, unsigned control, int n_threads) {
  const std::vector<float> samples(kSamples, 0.3f);
  _mm_setcsr(control);
  earbit_program* program = nullptr;
  std::vector<float> out;
  earbit_status status = earbit_open(path, &program);
  if (status == EARBIT_OK) {
    out.resize(earbit_n_frames(program, kSamples) * earbit_width(program));
    status = earbit_run(program, samples.data(), kSamples, n_threads, out.data(),
                        static_cast<int64_t>(out.size()));
  }
  const unsigned after = _mm_getcsr();
  _mm_setcsr(kDefault);
  if (status != EARBIT_OK || (after & ~kFlags) != control) {
    std::fprintf(stderr, "MXCSR %x: %x after, '%s'\n", control, after, earbit_error());
    std::exit(1);
  }
  earbit_close(program);
  return out;
}
#endif

}  // namespace

int main(int argc, [[maybe_unused]] char** argv) {
  if (argc != 2) return 2;
#if defined(__x86_64__)
  int n_runs = 0;
  int n_wrong = 0;
  // Before any other run, so that its helpers are started by a caller that flushes.
  const std::vector<float> first = features(argv[1], kFlushed, 2);
  const std::vector<float> expected = features(argv[1], kDefault, 1);
  if (first != expected) ++n_wrong;
  for (unsigned control : {kFlushed, kTruncated, kDefault}) {
    // Several times: it is chance which rows a helper computes.
    for (int i = 0; i < 20; ++i) {
      for (int n_threads : {1, 2}) {
        ++n_runs;
        if (features(argv[1], control, n_threads) != expected) ++n_wrong;
      }
    }
  }
  const bool is_zero = std::count(expected.begin(), expected.end(), 0.0f) > 0;
  std::printf("%d runs, %d wrong%s\n", n_runs, n_wrong, is_zero ? ", zeros expected" : "");
#endif
  return 0;
}
