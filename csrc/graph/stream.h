// A run on audio that arrives in pieces: the ops of a plan compute the rows that the audio so far
// is enough for, and every value keeps the rows that later rows need.
//
// All rows are those of the whole clip, bit by bit, for any pieces.  Memory does not grow with the
// audio, as long as rows of the outputs are taken.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "graph/cancel.h"
#include "graph/chain_runner.h"
#include "graph/kept_rows.h"
#include "graph/plan.h"

namespace earbit {

// A program that needs the whole clip; the message names the op.
struct NeedsWholeClip : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Audio for a stream that is finished, or whose last call failed.
struct StreamEnded : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

class Program;

class Stream {
 public:
  // Throws NeedsWholeClip, and std::invalid_argument for a value that does not exist.  The program
  // outlives the stream.
  Stream(const Program& program, const std::vector<int>& outputs, int n_threads);
  ~Stream();

  // Computes what n more samples are enough for.  After an exception, Cancelled among them, the
  // stream can only be reset.  Throws StreamEnded after `finish`.
  void accept(const float* samples, int64_t n, Cancel* cancel = nullptr);

  // Computes the last rows, for which the end of the audio is known.
  void finish(Cancel* cancel = nullptr);

  // Begins again.  Throws StreamEnded in the middle of another call of this thread.
  void reset();

  // The rows of the outputs since the last call.  Throws as `reset`.
  std::vector<Value> take();

  int64_t n_samples() const;
  bool is_finished() const;

  // Memory of the rows that are kept.
  int64_t bytes() const;

 private:
  enum class Phase { open, busy, finished, broken };
  class Working;

  // A step that reads a value.
  struct Reader {
    int step;
    Needs needs;
  };

  // A value that a chain reads and does not compute.
  struct Input {
    int id;
    Needs needs;  // of the first step; other steps read the same rows
  };

  void expect_open() const;
  void expect_idle() const;
  void advance(bool is_end, Cancel* cancel);
  int64_t rows_of(size_t chain, bool is_end) const;
  View view_of(int id) const;
  int64_t first_needed(int slot) const;
  int64_t first_read(int id) const;

  const Program& program_;
  Plan plan_;
  ChainRunner runner_;
  std::vector<std::vector<Reader>> readers_;  // of every value
  std::vector<std::vector<Input>> inputs_;    // of every chain
  // A signal handler may call a stream in the middle of a call of the same thread.
  mutable std::recursive_mutex mutex_;
  Phase phase_ = Phase::open;
  KeptRows samples_;
  std::vector<KeptRows> slots_;
  std::vector<int64_t> n_rows_;                 // of every value so far
  std::vector<int64_t> n_taken_;                // rows of every output
  std::vector<std::unique_ptr<State>> states_;  // of every chain
};

}  // namespace earbit
