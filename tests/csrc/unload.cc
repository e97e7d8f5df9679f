// A host that loads libearbit as a plugin: opens a program, runs it on two threads, closes it and
// takes the library out, whose code must stay, as the thread that the run has started waits in it.
//
// unload LIBRARY PROGRAM TIMES
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "earbit.h"

namespace {

constexpr int64_t kSamples = 16'000;

template <typename Function>
Function* found(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  if (symbol != nullptr) return reinterpret_cast<Function*>(symbol);
  std::fprintf(stderr, "%s is missing\n", name);
  std::exit(1);
}

std::vector<float> features(const char* library_path, const char* path) {
  void* library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  const std::vector<float> samples(kSamples, 0.25f);
  earbit_program* program = nullptr;
  if (found<decltype(earbit_open)>(library, "earbit_open")(path, &program) != EARBIT_OK) return {};
  std::vector<float> out(
      found<decltype(earbit_n_frames)>(library, "earbit_n_frames")(program, kSamples) *
      found<decltype(earbit_width)>(library, "earbit_width")(program));
  const earbit_status status = found<decltype(earbit_run)>(library, "earbit_run")(
      program, samples.data(), kSamples, 2, out.data(), static_cast<int64_t>(out.size()));
  found<decltype(earbit_close)>(library, "earbit_close")(program);
  if (dlclose(library) != 0 || status != EARBIT_OK) return {};
  void* still_there = dlopen(library_path, RTLD_NOW | RTLD_NOLOAD);
  if (still_there == nullptr) {
    std::fprintf(stderr, "the library is gone, its thread is not\n");
    std::exit(1);
  }
  dlclose(still_there);
  // Time for the thread to wake up, and to look for work.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::vector<float> first = features(argv[1], argv[2]);
  int n_same = 0;
  for (int i = 0; i < std::atoi(argv[3]); ++i) n_same += features(argv[1], argv[2]) == first;
  std::printf("%d times the same %zu values\n", n_same, first.size());
  return 0;
}
