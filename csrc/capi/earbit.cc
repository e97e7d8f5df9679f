#include "capi/earbit.h"

#include "capi/calls.h"
#include "cpu/isa.h"

namespace {

using namespace earbit;

earbit_program* opened(const Source& source) {
  try {
    chosen_isa();
  } catch (const std::invalid_argument& error) {
    throw BadArgument(std::string("EARBIT_ISA: ") + error.what());
  }
  LoadedProgram loaded = load_program(source);
  const Type& first = loaded.program->type(loaded.outputs.front());
  for (int id : loaded.outputs) {
    const Type& type = loaded.program->type(id);
    if (type.kind != Kind::floats || type.cols != first.cols) {
      throw FormatError("output value " + std::to_string(id) +
                        " is not of floats, as wide as the others; export it again");
    }
  }
  return new earbit_program{std::move(loaded)};
}

int64_t n_frames(const LoadedProgram& loaded, int64_t n_samples) {
  require_length(n_samples);
  // Ops behind the last hidden state, those of a head, may need more audio.
  const int last = *std::max_element(loaded.outputs.begin(), loaded.outputs.end());
  const std::vector<int64_t> rows = loaded.program->rows(n_samples, last);
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

void run(const earbit_program& program, const float* samples, int64_t n_samples, int n_threads,
         const std::vector<int>& outputs, float* features, int64_t n_floats) {
  const LoadedProgram& loaded = program.loaded;
  require(samples != nullptr, "samples");
  require(features != nullptr, "features");
  require_range("n_threads", n_threads, 1, EARBIT_MAX_THREADS);
  const int64_t size = n_frames(loaded, n_samples) * loaded.program->type(outputs.front()).cols;
  const auto n_expected = static_cast<int64_t>(outputs.size()) * size;
  require_range("n_floats", n_floats, n_expected, n_expected);
  require_finite(samples, n_samples);
  for (const Value& value : values(program, samples, n_samples, outputs, n_threads)) {
    features = std::copy_n(value.floats.get(), size, features);
  }
}

}  // namespace

earbit_status earbit_open(const char* path, earbit_program** program) {
  return guarded(kNoMemoryToOpen, [&] {
    require(program != nullptr, "program");
    *program = nullptr;
    require(path != nullptr, "path");
    *program = opened(FileSource(path));
  });
}

earbit_status earbit_open_memory(const void* data, size_t size, earbit_program** program) {
  return guarded(kNoMemoryToOpen, [&] {
    require(program != nullptr, "program");
    *program = nullptr;
    require(data != nullptr, "data");
    *program = opened(MemorySource(data, size));
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
    run(*program, samples, n_samples, n_threads, {loaded.outputs.back()}, features, n_floats);
  });
}

earbit_status earbit_run_states(const earbit_program* program, const float* samples,
                                int64_t n_samples, int n_threads, float* features,
                                int64_t n_floats) {
  return guarded(kNoMemoryToRun, [&] {
    require(program != nullptr, "program");
    const LoadedProgram& loaded = program->loaded;
    run(*program, samples, n_samples, n_threads, loaded.outputs, features, n_floats);
  });
}

void earbit_cancel(const earbit_program* program) {
  if (program != nullptr) program->n_cancels.fetch_add(1);
}

const char* earbit_error(void) { return last_error(); }

const char* earbit_version(void) { return EARBIT_VERSION; }
