// exit_beside_runs PROGRAM: main returns while threads open programs and run them, without an
// error.
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "earbit.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr int kThreads = 3;
  static std::atomic<int> n_running{0};
  static std::atomic<bool> has_failed{false};
  for (int thread = 0; thread < kThreads; ++thread) {
    std::thread([path = argv[1]] {
      const std::vector<float> samples(8000, 0.25f);
      for (bool is_first = true;; is_first = false) {
        earbit_program* program;
        if (earbit_open(path, &program) != EARBIT_OK) has_failed = true;
        if (has_failed) return;
        const auto n = static_cast<int64_t>(samples.size());
        std::vector<float> features(earbit_n_frames(program, n) * earbit_width(program));
        const auto n_features = static_cast<int64_t>(features.size());
        for (int i = 0; i < 5; ++i) {
          if (earbit_run(program, samples.data(), n, 2, features.data(), n_features) != EARBIT_OK) {
            has_failed = true;
          }
          if (i == 0 && is_first) ++n_running;
        }
        earbit_close(program);
      }
    }).detach();
  }
  while (n_running < kThreads && !has_failed) std::this_thread::yield();
  return has_failed ? 1 : 0;
}
