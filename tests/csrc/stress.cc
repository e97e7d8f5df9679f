// Many threads open, run and close programs at the same time, as the C interface allows; built with
// the thread sanitizer.  Ends with an error when any result differs from that of one thread alone.
//
// stress PROGRAM THREADS CALLS
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "earbit.h"

namespace {

constexpr int64_t kSamples = 1600;

std::vector<float> audio(int seed) {
  std::vector<float> samples(kSamples);
  for (int64_t i = 0; i < kSamples; ++i) {
    samples[i] = static_cast<float>((i * (seed + 3) * 7919) % 2001) / 1000.0f - 1.0f;
  }
  return samples;
}

// Features and scores of audio(seed), or nothing when they could not be computed.
std::vector<float> results(const earbit_program* program, int seed, int n_threads) {
  const std::vector<float> samples = audio(seed);
  const int64_t n = earbit_n_frames(program, kSamples) * earbit_width(program);
  const int64_t n_scores = earbit_head_kind(program) == EARBIT_NO_HEAD
                               ? 0
                               : earbit_head_rows(program, kSamples) * earbit_head_width(program);
  std::vector<float> out(n + n_scores);
  const bool is_done =
      earbit_run(program, samples.data(), kSamples, n_threads, out.data(), n) == EARBIT_OK &&
      (n_scores == 0 ||
       earbit_scores(program, samples.data(), kSamples, n_threads, &out[n], n_scores) == EARBIT_OK);
  if (!is_done) out.clear();
  return out;
}

// Unlike ==, this holds for NaN.
bool are_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Whether a wrong call fails in this thread with its own text.
bool says_what_was_wrong(const earbit_program* program, int n_threads) {
  float out = 0;
  const std::vector<float> samples = audio(0);
  const earbit_status status = earbit_run(program, samples.data(), kSamples, -n_threads, &out, 1);
  const std::string expected = "n_threads=" + std::to_string(-n_threads);
  return status == EARBIT_BAD_ARGUMENT && std::strstr(earbit_error(), expected.c_str()) != nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: stress PROGRAM THREADS CALLS\n");
    return 2;
  }
  const int n_threads = std::atoi(argv[2]);
  const int n_calls = std::atoi(argv[3]);
  earbit_program* shared = nullptr;
  if (earbit_open(argv[1], &shared) != EARBIT_OK) {
    std::fprintf(stderr, "%s\n", earbit_error());
    return 1;
  }
  constexpr int kAudios = 4;
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < kAudios; ++i) expected.push_back(results(shared, i, 1));
  std::atomic<int> n_wrong{0};
  const auto work = [&](int thread) {
    for (int call = 0; call < n_calls; ++call) {
      const int i = (thread + call) % kAudios;
      if (!are_same_bits(results(shared, i, 1 + call % 4), expected[i])) ++n_wrong;
      if (!says_what_was_wrong(shared, thread)) ++n_wrong;
      if (call % 8 != 0) continue;
      earbit_program* own = nullptr;
      const bool is_open = earbit_open(argv[1], &own) == EARBIT_OK;
      if (!is_open || !are_same_bits(results(own, i, 2), expected[i])) ++n_wrong;
      earbit_close(own);
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < n_threads; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  earbit_close(shared);
  std::printf("%d threads of %d calls, %d wrong\n", n_threads, n_calls, n_wrong.load());
  return n_wrong == 0 && !expected[0].empty() ? 0 : 1;
}
