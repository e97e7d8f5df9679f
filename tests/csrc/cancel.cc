// earbit_cancel ends runs that would take minutes, on several threads, and no run that begins
// later.
//
// cancel PROGRAM: a program whose run of kLong samples takes much longer than the test.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "earbit.h"

namespace {

constexpr int64_t kShort = 4000;
constexpr int64_t kLong = 16000 * 1200;

std::vector<float> features(const earbit_program* program, int64_t n_samples,
                            earbit_status* status) {
  const std::vector<float> samples(n_samples, 0.25f);
  std::vector<float> out(earbit_n_frames(program, n_samples) * earbit_width(program));
  *status = earbit_run(program, samples.data(), n_samples, 2, out.data(),
                       static_cast<int64_t>(out.size()));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  earbit_program* program = nullptr;
  if (argc != 2 || earbit_open(argv[1], &program) != EARBIT_OK) return 2;
  earbit_cancel(nullptr);
  earbit_cancel(program);  // nothing runs
  earbit_status status = EARBIT_BUG;
  const std::vector<float> before = features(program, kShort, &status);
  if (status != EARBIT_OK) return 1;
  std::atomic<int> n_running{2};
  std::atomic<int> n_cancelled{0};
  const auto run = [&] {
    earbit_status of_run = EARBIT_BUG;
    features(program, kLong, &of_run);
    const bool is_said = std::strcmp(earbit_error(), "earbit_cancel ended the run") == 0;
    if (of_run == EARBIT_CANCELLED && is_said) ++n_cancelled;
    --n_running;
  };
  std::thread first(run);
  std::thread second(run);
  // The runs may not have begun yet.
  while (n_running > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    earbit_cancel(program);
  }
  first.join();
  second.join();
  const std::vector<float> after = features(program, kShort, &status);
  earbit_close(program);
  std::printf("%d cancelled, then %s\n", n_cancelled.load(),
              status == EARBIT_OK && after == before ? "the same features" : "other features");
  return 0;
}
