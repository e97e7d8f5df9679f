#include "capi/calls.h"

#include <cmath>

namespace earbit {
namespace {

// Fixed size, so that a message can be stored when memory has run out.
thread_local char message_of_thread[1024] = "";

}  // namespace

const char* last_error() noexcept { return message_of_thread; }

earbit_status failed(earbit_status status, const char* message, const char* advice) noexcept {
  size_t n = 0;
  for (const char* part : {message, advice}) {
    size_t n_kept =
        std::min(std::char_traits<char>::length(part), sizeof(message_of_thread) - 1 - n);
    // Truncates at a character boundary.
    while (n_kept > 0 && (static_cast<unsigned char>(part[n_kept]) & 0xC0) == 0x80) --n_kept;
    std::copy_n(part, n_kept, message_of_thread + n);
    n += n_kept;
  }
  message_of_thread[n] = '\0';
  return status;
}

void require(bool is_given, const char* name) {
  if (!is_given) throw BadArgument(std::string(name) + " is a null pointer");
}

void require_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw BadArgument(std::string(name) + "=" + std::to_string(value) + "; allowed are " +
                    std::to_string(low) + " to " + std::to_string(high));
}

void require_length(int64_t n_samples) {
  if (n_samples >= EARBIT_MIN_SAMPLES && n_samples <= EARBIT_MAX_SAMPLES) return;
  const char* remedy = n_samples < EARBIT_MIN_SAMPLES ? "pad it or leave it out" : "cut it";
  throw std::invalid_argument("audio of " + std::to_string(n_samples) + " samples; allowed are " +
                              std::to_string(EARBIT_MIN_SAMPLES) + " (25 ms, one frame) to " +
                              std::to_string(EARBIT_MAX_SAMPLES) + " (4 h); " + remedy);
}

void require_finite(const float* samples, int64_t n_samples) {
  const auto n_bad = std::count_if(samples, samples + n_samples,
                                   [](float sample) { return !std::isfinite(sample); });
  if (n_bad > 0) {
    throw std::invalid_argument("audio has " + std::to_string(n_bad) +
                                " samples that are NaN or infinite; clean it first");
  }
}

earbit_kind kind_of(const Head& head) {
  if (head.kind == "sequence") return EARBIT_SEQUENCE;
  if (head.kind == "vector") return EARBIT_VECTOR;
  return head.kind == "segments" ? EARBIT_SEGMENTS : EARBIT_CLASS;
}

const Head& head_of(const earbit_program* program) {
  require(program != nullptr, "program");
  if (!program->loaded.head) {
    throw BadArgument("the program has no head; `earbit export --head` makes one that has");
  }
  return *program->loaded.head;
}

std::vector<Value> values(const earbit_program& program, const float* samples, int64_t n_samples,
                          const std::vector<int>& ids, int n_threads) {
  CancelledSince cancel(program);
  return program.loaded.program->run(samples, n_samples, ids, n_threads, &cancel);
}

}  // namespace earbit
