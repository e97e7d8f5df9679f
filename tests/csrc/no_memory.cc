// libearbit with too little memory: every call that finds too little says so, and works when there
// is memory again.
//
// no_memory PROGRAM: one that can be run, or one whose values do not fit each other.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "earbit.h"
#include "fuzz/limited_memory.h"

namespace {

constexpr size_t kMost = size_t{1} << 24;  // more than any of these calls takes
constexpr int64_t kSamples = 1600;
std::vector<float> samples(kSamples);
float floats[1 << 16];
char text[1 << 12];

[[noreturn]] void give_up(const char* what, size_t n, earbit_status status) {
  std::fprintf(stderr, "%s with %zu: status %d, '%s'\n", what, n, status, earbit_error());
  std::exit(1);
}

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
    const bool is_said = std::strstr(earbit_error(), word) != nullptr;
    if (status != EARBIT_NO_MEMORY || !is_said) give_up(what, n_bytes, status);
    ++n;
  }
  std::fprintf(stderr, "%s: never enough\n", what);
  std::exit(1);
}

// Calls where each allocation fails in turn, until none does; `expected` is what the call returns
// with enough memory.  How many failed.
template <typename Call>
int n_failed(const char* what, earbit_status expected, Call&& call) {
  for (int n = 0;; ++n) {
    const FailedAllocation one(n);
    const earbit_status status = call();
    if (status != expected && (status != EARBIT_NO_MEMORY || !one.has_failed())) {
      give_up(what, static_cast<size_t>(n), status);
    }
    if (!one.has_failed()) return n;
  }
}

earbit_status of_head(const earbit_program* program) {
  int labels[8];
  earbit_segment segments[1 << 10];
  int64_t n_found = 0;
  switch (earbit_head_kind(program)) {
    case EARBIT_CLASS:
      return earbit_likeliest(program, samples.data(), kSamples, 1, EARBIT_THRESHOLD_OF_PROGRAM,
                              labels, nullptr, earbit_n_slots(program));
    case EARBIT_SEQUENCE:
      return earbit_text(program, samples.data(), kSamples, 1, text, sizeof(text));
    case EARBIT_VECTOR:
      return earbit_embedding(program, samples.data(), kSamples, 1, floats,
                              earbit_head_width(program));
    case EARBIT_SEGMENTS:
      return earbit_segments(program, samples.data(), kSamples, 1, 0.5, 11, segments, 1 << 10,
                             &n_found);
    case EARBIT_NO_HEAD:
      break;
  }
  return EARBIT_OK;
}

// A piece of audio; a stream that has lost rows for lack of memory refuses audio, and works after a
// reset.
earbit_status accepted(earbit_stream* stream, int64_t first, int64_t n) {
  const earbit_status status = earbit_stream_accept(stream, samples.data() + first, n);
  if (status != EARBIT_NO_MEMORY) return status;
  const earbit_status again = earbit_stream_accept(stream, samples.data() + first, n);
  const bool is_refused = std::strstr(earbit_error(), "reset it for other audio") != nullptr;
  if (again != EARBIT_BAD_ARGUMENT || !is_refused) give_up("accept", 0, again);
  return earbit_stream_reset(stream) == EARBIT_OK ? status : EARBIT_BUG;
}

// Calls again if there was too little memory.
template <typename Call>
void retried(const char* what, Call&& call) {
  earbit_status status = call();
  if (status == EARBIT_NO_MEMORY) status = call();
  if (status != EARBIT_OK) give_up(what, 0, status);
}

// Reads the results of a stream, bit by bit, after each half of the audio; an allocation fails
// after n_before others, if there are so many.  The results are the same, whichever it is.
bool reads_the_same(const earbit_program* program, earbit_stream* stream, int n_before,
                    std::vector<char>* results) {
  results->clear();
  bool has_failed = false;
  const auto add = [&](const void* data, size_t n) {
    results->insert(results->end(), static_cast<const char*>(data),
                    static_cast<const char*>(data) + n);
  };
  if (earbit_stream_reset(stream) != EARBIT_OK) give_up("reset", 0, EARBIT_BUG);
  for (int half = 0; half < 2; ++half) {
    const int64_t n = kSamples / 2;
    if (earbit_stream_accept(stream, samples.data() + half * n, n) != EARBIT_OK) {
      give_up("accept", 0, EARBIT_BUG);
    }
    int64_t n_frames = 0;
    int64_t n_scores = 0;
    text[0] = '\0';
    {
      const FailedAllocation one(n_before);
      retried("frames", [&] { return earbit_stream_frames(stream, floats, 100, &n_frames); });
      float* scores = floats + n_frames * earbit_width(program);
      if (earbit_head_kind(program) == EARBIT_SEQUENCE) {
        retried("text", [&] { return earbit_stream_text(stream, text, sizeof(text)); });
      } else {
        retried("scores", [&] { return earbit_stream_scores(stream, scores, 100, &n_scores); });
      }
      has_failed = has_failed || one.has_failed();
    }
    add(floats,
        (n_frames * earbit_width(program) + n_scores * earbit_head_width(program)) * sizeof(float));
    add(text, std::strlen(text));
  }
  return has_failed;
}

int n_failed_of_stream(const earbit_program* program) {
  earbit_stream* stream = nullptr;
  const int results = EARBIT_STREAM_FRAMES + EARBIT_STREAM_SCORES;
  int n = n_failed("stream open", EARBIT_OK, [&] {
    earbit_stream_close(stream);
    return earbit_stream_open(program, results, 50, 1, &stream);
  });
  n += n_failed("stream", EARBIT_OK, [&] {
    earbit_status status = earbit_stream_reset(stream);
    for (int piece = 0; status == EARBIT_OK && piece < 2; ++piece) {
      status = accepted(stream, piece * kSamples / 2, kSamples / 2);
    }
    return status == EARBIT_OK ? earbit_stream_finish(stream) : status;
  });
  std::vector<char> expected;
  std::vector<char> found;
  reads_the_same(program, stream, 1 << 20, &expected);
  for (int k = 0; reads_the_same(program, stream, k, &found); ++k, ++n) {
    if (found != expected) give_up("results of a stream", static_cast<size_t>(k), EARBIT_BUG);
  }
  earbit_stream_close(stream);
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (int64_t i = 0; i < kSamples; ++i) {
    samples[i] = static_cast<float>((i * i * 7919) % 2001) / 1000.0f - 1.0f;
  }
  earbit_program* program = nullptr;
  const int n_opened =
      n_short("open", "open the program", [&] { return earbit_open(argv[1], &program); });
  const int64_t n = earbit_n_frames(program, kSamples) * earbit_width(program);
  const auto run = [&] { return earbit_run(program, samples.data(), kSamples, 1, floats, n); };
  // 0 frames: the values of the program do not fit each other.
  const int n_run = n > 0 ? n_short("run", "shorter audio", run) : 0;
  int n_once = n_failed("run", n > 0 ? EARBIT_OK : EARBIT_BAD_FILE, run);
  if (earbit_head_kind(program) != EARBIT_NO_HEAD) {
    n_once += n_failed("head", EARBIT_OK, [&] { return of_head(program); });
    n_once += n_failed_of_stream(program);
  }
  earbit_close(program);
  std::printf("too little for %d opens and %d runs, %d allocations failed\n", n_opened, n_run,
              n_once);
  return n_opened > 0 && n_once > 0 ? 0 : 1;
}
