// Functions of libearbit for the head of a program.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>

#include "capi/calls.h"
#include "capi/earbit.h"
#include "heads/decode.h"

namespace {

using namespace earbit;

constexpr double kFrameSeconds = 320.0 / 16000.0;

// The head, if it is of this kind.
const Head& head_of_kind(const earbit_program* program, earbit_kind kind) {
  constexpr const char* kFunctions[] = {"", "earbit_likeliest", "earbit_text", "earbit_embedding",
                                        "earbit_segments"};
  const Head& head = head_of(program);
  if (kind_of(head) != kind) {
    throw BadArgument("the program has a head of kind '" + head.kind + "'; call " +
                      kFunctions[kind_of(head)]);
  }
  return head;
}

int width_of(const earbit_program* program, const Head& head) {
  return program->loaded.program->type(head.value).cols;
}

// Rows of the head's value for audio of this length.
int64_t n_rows(const earbit_program* program, const Head& head, int64_t n_samples) {
  require_length(n_samples);
  if (n_samples < head.min_samples) {
    char seconds[32];
    std::snprintf(seconds, sizeof(seconds), "%.3f", static_cast<double>(head.min_samples) / 16000);
    throw std::invalid_argument(
        "audio of " + std::to_string(n_samples) + " samples; the program's head needs at least " +
        std::to_string(head.min_samples) + " (" + seconds + " s); pad it or leave it out");
  }
  const Program& of_head = *program->loaded.program;
  const int64_t n = of_head.rows(n_samples, head.value)[head.value];
  const earbit_kind kind = kind_of(head);
  if (n != 1 && (kind == EARBIT_CLASS || kind == EARBIT_VECTOR)) {
    throw FormatError("head value " + std::to_string(head.value) + " has " + std::to_string(n) +
                      " rows, expected 1; export it again");
  }
  of_head.type(head.value).bytes(n);  // the limit of a run
  return n;
}

// The head's value, after all checks of the audio.
Value scores_of(const earbit_program* program, const Head& head, const float* samples,
                int64_t n_samples, int n_threads) {
  require(samples != nullptr, "samples");
  require_range("n_threads", n_threads, 1, EARBIT_MAX_THREADS);
  n_rows(program, head, n_samples);
  require_finite(samples, n_samples);
  return values(*program, samples, n_samples, {head.value}, n_threads).front();
}

// Calls a function that gives a size, or 0 after a failure.
template <typename Work>
int64_t size_or_0(Work&& work) {
  int64_t size = 0;
  guarded(kNoMemory, [&] { size = work(); });
  return size;
}

void require_threshold(double threshold, bool is_allowed, const char* allowed) {
  if (is_allowed) return;
  char text[32];
  std::snprintf(text, sizeof(text), "%g", threshold);
  throw BadArgument(std::string("threshold=") + text + "; allowed are " + allowed);
}

// The log odds below which a label is rejected; none if every label is a result.
std::optional<double> least_log_odds(const Head& head, double threshold) {
  if (threshold == EARBIT_THRESHOLD_OF_PROGRAM) return head.min_log_odds;
  require_threshold(threshold, threshold >= 0 && threshold < 1,
                    "probabilities from 0 to below 1, and EARBIT_THRESHOLD_OF_PROGRAM");
  if (head.slots.size() > 1) {
    throw BadArgument("threshold for " + std::to_string(head.slots.size()) +
                      " slots; only a head of one slot rejects");
  }
  if (threshold == 0) return {};
  return std::log(threshold / (1 - threshold));
}

}  // namespace

earbit_kind earbit_head_kind(const earbit_program* program) {
  if (program == nullptr || !program->loaded.head) return EARBIT_NO_HEAD;
  return kind_of(*program->loaded.head);
}

int earbit_n_labels(const earbit_program* program) {
  if (program == nullptr || !program->loaded.head) return 0;
  return static_cast<int>(program->loaded.head->labels.size());
}

const char* earbit_label(const earbit_program* program, int i) {
  const char* label = nullptr;
  guarded(kNoMemory, [&] {
    const std::vector<std::string>& labels = head_of(program).labels;
    if (labels.empty()) throw BadArgument("the program's head has no labels");
    require_range("i", i, 0, static_cast<int64_t>(labels.size()) - 1);
    label = labels[i].c_str();
  });
  return label;
}

int earbit_n_slots(const earbit_program* program) {
  if (earbit_head_kind(program) != EARBIT_CLASS) return 0;
  return static_cast<int>(program->loaded.head->slots.size());
}

int earbit_slot_size(const earbit_program* program, int slot) {
  return static_cast<int>(size_or_0([&] {
    const std::vector<int>& slots = head_of_kind(program, EARBIT_CLASS).slots;
    require_range("slot", slot, 0, static_cast<int64_t>(slots.size()) - 1);
    return slots[slot];
  }));
}

double earbit_threshold(const earbit_program* program) {
  if (program == nullptr || !program->loaded.head) return 0;
  const std::optional<double>& odds = program->loaded.head->min_log_odds;
  return odds ? 1 / (1 + std::exp(-*odds)) : 0;
}

int earbit_head_width(const earbit_program* program) {
  if (program == nullptr || !program->loaded.head) return 0;
  return width_of(program, *program->loaded.head);
}

int64_t earbit_head_rows(const earbit_program* program, int64_t n_samples) {
  return size_or_0([&] { return n_rows(program, head_of(program), n_samples); });
}

earbit_status earbit_scores(const earbit_program* program, const float* samples, int64_t n_samples,
                            int n_threads, float* scores, int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    const Head& head = head_of(program);
    require(samples != nullptr, "samples");
    require(scores != nullptr, "scores");
    const int64_t n = n_rows(program, head, n_samples) * width_of(program, head);
    require_range("n_floats", n_floats, n, n);
    const Value value = scores_of(program, head, samples, n_samples, n_threads);
    std::copy_n(value.floats.get(), n, scores);
  });
}

earbit_status earbit_likeliest(const earbit_program* program, const float* samples,
                               int64_t n_samples, int n_threads, double threshold, int* labels,
                               double* probabilities, int n_slots) {
  return guarded(kNoMemoryToRun, [&] {
    const Head& head = head_of_kind(program, EARBIT_CLASS);
    require(labels != nullptr, "labels");
    const auto n = static_cast<int>(head.slots.size());
    require_range("n_slots", n_slots, n, n);
    const std::optional<double> least = least_log_odds(head, threshold);
    const Value value = scores_of(program, head, samples, n_samples, n_threads);
    int first = 0;
    for (int slot = 0; slot < n; ++slot) {
      const int size = head.slots[slot];
      const bool has_none = size > 1 && head.labels[first + size - 1] == kNone;
      const Best best = best_of(value.floats.get() + first, has_none ? size - 1 : size, size);
      // Log odds of scores that are not finite may be NaN, which no threshold accepts.
      const bool is_rejected = least && !(best.log_odds >= *least);
      labels[slot] = is_rejected ? EARBIT_REJECTED : first + best.index;
      if (probabilities != nullptr) probabilities[slot] = best.probability;
      first += size;
    }
  });
}

earbit_status earbit_embedding(const earbit_program* program, const float* samples,
                               int64_t n_samples, int n_threads, float* vector, int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    const Head& head = head_of_kind(program, EARBIT_VECTOR);
    require(vector != nullptr, "vector");
    const int width = width_of(program, head);
    require_range("n_floats", n_floats, width, width);
    const Value value = scores_of(program, head, samples, n_samples, n_threads);
    std::copy_n(value.floats.get(), width, vector);
    scale_to_one(vector, width);
  });
}

int64_t earbit_text_size(const earbit_program* program, int64_t n_samples) {
  return size_or_0([&] {
    const Head& head = head_of_kind(program, EARBIT_SEQUENCE);
    size_t longest = 0;
    for (const std::string& label : head.labels) longest = std::max(longest, label.size());
    return n_rows(program, head, n_samples) * static_cast<int64_t>(longest) + 1;
  });
}

earbit_status earbit_text(const earbit_program* program, const float* samples, int64_t n_samples,
                          int n_threads, char* text, int64_t n_bytes) {
  return guarded(kNoMemoryToRun, [&] {
    require(text != nullptr, "text");
    if (n_bytes < 1) throw BadArgument("n_bytes=" + std::to_string(n_bytes) + "; at least 1");
    *text = '\0';
    const Head& head = head_of_kind(program, EARBIT_SEQUENCE);
    const Value value = scores_of(program, head, samples, n_samples, n_threads);
    const std::string found = greedy_text(head.labels, value.floats.get(), value.rows);
    if (static_cast<int64_t>(found.size()) >= n_bytes) {
      throw BadArgument("n_bytes=" + std::to_string(n_bytes) + "; this text takes " +
                        std::to_string(found.size() + 1));
    }
    std::memcpy(text, found.c_str(), found.size() + 1);
  });
}

int64_t earbit_segments_size(const earbit_program* program, int64_t n_samples) {
  return size_or_0([&] {
    const Head& head = head_of_kind(program, EARBIT_SEGMENTS);
    // Segments of a label have a frame of silence between them.
    return (n_rows(program, head, n_samples) + 1) / 2 * static_cast<int64_t>(head.labels.size());
  });
}

earbit_status earbit_segments(const earbit_program* program, const float* samples,
                              int64_t n_samples, int n_threads, double threshold, int window,
                              earbit_segment* segments, int64_t n_segments, int64_t* n_found) {
  return guarded(kNoMemoryToRun, [&] {
    require(n_found != nullptr, "n_found");
    *n_found = 0;
    const Head& head = head_of_kind(program, EARBIT_SEGMENTS);
    require(segments != nullptr || n_segments == 0, "segments");
    require_threshold(threshold, threshold > 0 && threshold < 1, "probabilities between 0 and 1");
    if (window < 1 || window % 2 == 0) {
      throw BadArgument("window=" + std::to_string(window) + "; allowed are odd numbers from 1");
    }
    const Value value = scores_of(program, head, samples, n_samples, n_threads);
    const std::vector<SpeechSegment> found = speech_segments(
        value.floats.get(), value.rows, value.type.cols, threshold, int64_t{window});
    *n_found = static_cast<int64_t>(found.size());
    if (*n_found > n_segments) {
      throw BadArgument("n_segments=" + std::to_string(n_segments) + "; this audio has " +
                        std::to_string(*n_found));
    }
    for (const SpeechSegment& segment : found) {
      *segments++ = {static_cast<double>(segment.start) * kFrameSeconds,
                     static_cast<double>(segment.end) * kFrameSeconds, segment.label};
    }
  });
}
