// What the functions of libearbit share: statuses, checked arguments and runs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "capi/earbit.h"
#include "cpu/float_environment.h"
#include "file/format_error.h"
#include "file/load_program.h"

struct earbit_program {
  earbit::LoadedProgram loaded;
  mutable std::atomic<uint64_t> n_cancels{0};
};

namespace earbit {

struct BadArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Messages for a failed allocation.
constexpr const char* kNoMemoryToOpen =
    "there is not enough memory to open the program; it takes about as much as its file";
constexpr const char* kNoMemoryToRun =
    "there is not enough memory for this audio; give shorter audio, or fewer at the same time";
constexpr const char* kExportAgain = "; export the program again";
constexpr const char* kNoMemory = "there is not enough memory";

// The message of the last failure in this thread.
const char* last_error() noexcept;

// Stores a message and advice, cut to fixed size, and returns the status.
earbit_status failed(earbit_status status, const char* message, const char* advice = "") noexcept;

// Calls `work` in the default floating-point environment and converts exceptions to a status.
template <typename Work>
earbit_status guarded(const char* no_memory, Work&& work) noexcept {
  const DefaultFloats floats;
  try {
    work();
    return EARBIT_OK;
  } catch (const std::bad_alloc&) {
    return failed(EARBIT_NO_MEMORY, no_memory);
  } catch (const Cancelled&) {
    return failed(EARBIT_CANCELLED, "earbit_cancel ended the run");
  } catch (const BadArgument& error) {
    return failed(EARBIT_BAD_ARGUMENT, error.what());
  } catch (const FormatError& error) {
    return failed(EARBIT_BAD_FILE, error.what());
  } catch (const UnfitRows& error) {
    return failed(EARBIT_BAD_FILE, error.what(), kExportAgain);
  } catch (const std::invalid_argument& error) {
    return failed(EARBIT_BAD_AUDIO, error.what());
  } catch (const std::exception& error) {
    return failed(EARBIT_BUG, error.what());
  } catch (...) {
    return failed(EARBIT_BUG, "an unknown exception");
  }
}

// Each throws BadArgument, which names the argument.
void require(bool is_given, const char* name);
void require_range(const char* name, int64_t value, int64_t low, int64_t high);

// Throws std::invalid_argument for audio that is too short or too long for any program.
void require_length(int64_t n_samples);
void require_finite(const float* samples, int64_t n_samples);

// Asks for the end of runs that have begun before a call of earbit_cancel.
class CancelledSince : public Cancel {
 public:
  explicit CancelledSince(const earbit_program& program)
      : n_cancels_(program.n_cancels), at_start_(program.n_cancels.load()) {}

  bool is_asked() const noexcept override { return n_cancels_.load() != at_start_; }

 private:
  const std::atomic<uint64_t>& n_cancels_;
  uint64_t at_start_;
};

// The head; throws BadArgument without one.
const Head& head_of(const earbit_program* program);
earbit_kind kind_of(const Head& head);

// Computes values; earbit_cancel ends it with Cancelled.
std::vector<Value> values(const earbit_program& program, const float* samples, int64_t n_samples,
                          const std::vector<int>& ids, int n_threads);

}  // namespace earbit
