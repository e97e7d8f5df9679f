#include "capi/earbit.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <stdexcept>
#include <string>

#include "cpu/float_environment.h"
#include "cpu/isa.h"
#include "file/format_error.h"
#include "file/load_program.h"

struct earbit_program {
  earbit::LoadedProgram loaded;
};

namespace {

using earbit::FormatError;
using earbit::LoadedProgram;
using earbit::Program;
using earbit::Value;

// Fixed size, so that a message can be stored when memory has run out.
thread_local char last_error[1024] = "";

earbit_status failed(earbit_status status, const char* message) noexcept {
  const size_t n = std::char_traits<char>::length(message);
  size_t n_kept = std::min(n, sizeof(last_error) - 1);
  // Truncates at a character boundary.
  while (n_kept < n && (static_cast<unsigned char>(message[n_kept]) & 0xC0) == 0x80) --n_kept;
  std::copy_n(message, n_kept, last_error);
  last_error[n_kept] = '\0';
  return status;
}

struct BadArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Message for a failed allocation.
constexpr const char* kNoMemoryToOpen =
    "there is not enough memory to open the program; it takes about as much as its file";
constexpr const char* kNoMemoryToRun =
    "there is not enough memory for this audio; give shorter audio, or fewer at the same time";
constexpr const char* kNoMemory = "there is not enough memory";

// Calls `work` in the default floating-point environment and converts exceptions to a status.
template <typename Work>
earbit_status guarded(const char* no_memory, Work&& work) noexcept {
  const earbit::DefaultFloats floats;
  try {
    work();
    return EARBIT_OK;
  } catch (const std::bad_alloc&) {
    return failed(EARBIT_NO_MEMORY, no_memory);
  } catch (const BadArgument& error) {
    return failed(EARBIT_BAD_ARGUMENT, error.what());
  } catch (const FormatError& error) {
    return failed(EARBIT_BAD_FILE, error.what());
  } catch (const std::invalid_argument& error) {
    return failed(EARBIT_BAD_AUDIO, error.what());
  } catch (const std::exception& error) {
    return failed(EARBIT_BUG, error.what());
  } catch (...) {
    return failed(EARBIT_BUG, "an unknown exception");
  }
}

void require(bool is_given, const char* name) {
  if (!is_given) throw BadArgument(std::string(name) + " is a null pointer");
}

void require_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw BadArgument(std::string(name) + "=" + std::to_string(value) + "; allowed are " +
                    std::to_string(low) + " to " + std::to_string(high));
}

earbit_program* opened(const earbit::Source& source) {
  try {
    earbit::chosen_isa();
  } catch (const std::invalid_argument& error) {
    throw BadArgument(std::string("EARBIT_ISA: ") + error.what());
  }
  LoadedProgram loaded = load_program(source);
  const earbit::Type& first = loaded.program->type(loaded.outputs.front());
  for (int id : loaded.outputs) {
    const earbit::Type& type = loaded.program->type(id);
    if (type.kind != earbit::Kind::floats || type.cols != first.cols) {
      throw FormatError("output value " + std::to_string(id) +
                        " is not of floats, as wide as the others; export it again");
    }
  }
  return new earbit_program{std::move(loaded)};
}

int64_t n_frames(const LoadedProgram& loaded, int64_t n_samples) {
  if (n_samples < EARBIT_MIN_SAMPLES || n_samples > EARBIT_MAX_SAMPLES) {
    const char* remedy = n_samples < EARBIT_MIN_SAMPLES ? "pad it or leave it out" : "cut it";
    throw std::invalid_argument("audio of " + std::to_string(n_samples) + " samples; allowed are " +
                                std::to_string(EARBIT_MIN_SAMPLES) + " (25 ms, one frame) to " +
                                std::to_string(EARBIT_MAX_SAMPLES) + " (4 h); " + remedy);
  }
  const std::vector<int64_t> rows = loaded.program->rows(n_samples);
  const int64_t n = rows[loaded.outputs.front()];
  for (int id : loaded.outputs) {
    if (rows[id] != n) {
      throw FormatError("output value " + std::to_string(id) + " has " + std::to_string(rows[id]) +
                        " frames, others " + std::to_string(n) + "; export it again");
    }
  }
  // The limit of a run, so that products of sizes do not overflow.
  loaded.program->type(loaded.outputs.front()).bytes(n);
  return n;
}

void require_finite(const float* samples, int64_t n_samples) {
  const auto n_bad = std::count_if(samples, samples + n_samples,
                                   [](float sample) { return !std::isfinite(sample); });
  if (n_bad > 0) {
    throw std::invalid_argument("audio has " + std::to_string(n_bad) +
                                " samples that are NaN or infinite; clean it first");
  }
}

// Whether a value of the program, or an op's temporary copy of one (padded, or with a word per bit
// of a code), may exceed the maximum size.
bool may_be_too_large(const LoadedProgram& loaded, int64_t n_samples) {
  constexpr int64_t kMost = earbit::kMaxBytes / 64;
  const std::vector<int64_t> rows = loaded.program->rows(n_samples);
  for (int id = 0; id < loaded.program->n_values(); ++id) {
    if (rows[id] < 0) return true;
    if (rows[id] > 0 && loaded.program->type(id).row_bytes() > kMost / rows[id]) return true;
  }
  return false;
}

// Computes values for validated audio.  If an op refuses its inputs, either the program is invalid
// or the audio is too long.
std::vector<Value> values(const LoadedProgram& loaded, const float* samples, int64_t n_samples,
                          const std::vector<int>& ids, int n_threads) {
  try {
    return loaded.program->run(samples, n_samples, ids, n_threads);
  } catch (const std::invalid_argument& error) {
    if (may_be_too_large(loaded, n_samples)) throw;
    throw FormatError(std::string(error.what()) + "; export the program again");
  }
}

void run(const LoadedProgram& loaded, const float* samples, int64_t n_samples, int n_threads,
         const std::vector<int>& outputs, float* features, int64_t n_floats) {
  require(samples != nullptr, "samples");
  require(features != nullptr, "features");
  require_range("n_threads", n_threads, 1, EARBIT_MAX_THREADS);
  const int64_t size = n_frames(loaded, n_samples) * loaded.program->type(outputs.front()).cols;
  const auto n_expected = static_cast<int64_t>(outputs.size()) * size;
  require_range("n_floats", n_floats, n_expected, n_expected);
  require_finite(samples, n_samples);
  for (const Value& value : values(loaded, samples, n_samples, outputs, n_threads)) {
    features = std::copy_n(value.floats.get(), size, features);
  }
}

const earbit::Head& head_of(const LoadedProgram& loaded) {
  if (!loaded.head) {
    throw BadArgument("the program has no head; `earbit export --head` makes one that has");
  }
  return *loaded.head;
}

void run_head(const LoadedProgram& loaded, const float* samples, int64_t n_samples, int n_threads,
              float* scores, int64_t n_floats) {
  require(samples != nullptr, "samples");
  require(scores != nullptr, "scores");
  const earbit::Head& head = head_of(loaded);
  if (head.kind != "class") {
    throw BadArgument("the program has a head of kind '" + head.kind +
                      "', whose scores are per frame; earbit_scores is for kind 'class'");
  }
  const auto n_labels = static_cast<int64_t>(head.labels.size());
  require_range("n_threads", n_threads, 1, EARBIT_MAX_THREADS);
  require_range("n_floats", n_floats, n_labels, n_labels);
  n_frames(loaded, n_samples);
  require_finite(samples, n_samples);
  const int64_t n_rows = loaded.program->rows(n_samples)[head.value];
  if (n_rows != 1) {
    throw FormatError("head value " + std::to_string(head.value) + " has " +
                      std::to_string(n_rows) + " rows, expected 1; export it again");
  }
  const Value value = values(loaded, samples, n_samples, {head.value}, n_threads).front();
  std::copy_n(value.floats.get(), n_labels, scores);
}

}  // namespace

earbit_status earbit_open(const char* path, earbit_program** program) {
  return guarded(kNoMemoryToOpen, [&] {
    require(program != nullptr, "program");
    *program = nullptr;
    require(path != nullptr, "path");
    *program = opened(earbit::FileSource(path));
  });
}

earbit_status earbit_open_memory(const void* data, size_t size, earbit_program** program) {
  return guarded(kNoMemoryToOpen, [&] {
    require(program != nullptr, "program");
    *program = nullptr;
    require(data != nullptr, "data");
    *program = opened(earbit::MemorySource(data, size));
  });
}

void earbit_close(earbit_program* program) { delete program; }

int earbit_width(const earbit_program* program) {
  if (program == nullptr) return 0;
  const LoadedProgram& loaded = program->loaded;
  return loaded.program->type(loaded.outputs.front()).cols;
}

int earbit_n_states(const earbit_program* program) {
  return program == nullptr ? 0 : static_cast<int>(program->loaded.outputs.size());
}

int64_t earbit_n_frames(const earbit_program* program, int64_t n_samples) {
  int64_t n = 0;
  guarded(kNoMemory, [&] {
    require(program != nullptr, "program");
    n = n_frames(program->loaded, n_samples);
  });
  return n;
}

earbit_status earbit_run(const earbit_program* program, const float* samples, int64_t n_samples,
                         int n_threads, float* features, int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    require(program != nullptr, "program");
    const LoadedProgram& loaded = program->loaded;
    run(loaded, samples, n_samples, n_threads, {loaded.outputs.back()}, features, n_floats);
  });
}

earbit_status earbit_run_states(const earbit_program* program, const float* samples,
                                int64_t n_samples, int n_threads, float* features,
                                int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    require(program != nullptr, "program");
    const LoadedProgram& loaded = program->loaded;
    run(loaded, samples, n_samples, n_threads, loaded.outputs, features, n_floats);
  });
}

int earbit_n_labels(const earbit_program* program) {
  if (program == nullptr || !program->loaded.head) return 0;
  return static_cast<int>(program->loaded.head->labels.size());
}

const char* earbit_label(const earbit_program* program, int i) {
  const char* label = nullptr;
  guarded(kNoMemory, [&] {
    require(program != nullptr, "program");
    const std::vector<std::string>& labels = head_of(program->loaded).labels;
    require_range("i", i, 0, static_cast<int64_t>(labels.size()) - 1);
    label = labels[i].c_str();
  });
  return label;
}

earbit_status earbit_scores(const earbit_program* program, const float* samples, int64_t n_samples,
                            int n_threads, float* scores, int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    require(program != nullptr, "program");
    run_head(program->loaded, samples, n_samples, n_threads, scores, n_floats);
  });
}

const char* earbit_error(void) { return last_error; }

const char* earbit_version(void) { return EARBIT_VERSION; }
