// Runs the ops of a plan on one waveform: blocks of rows, threads, memory, rows of padding and
// cancellation are here and nowhere else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "graph/cancel.h"
#include "graph/plan.h"

namespace earbit {

class Executor {
 public:
  // n_rows: rows of all needed values;  cancel: may be null.  Everything outlives the executor.
  Executor(const std::vector<Step>& steps, const Plan& plan, const std::vector<int64_t>& n_rows,
           Memory& memory, int n_threads, Cancel* cancel);

  // The outputs of the plan.  Throws Cancelled, std::bad_alloc, and std::invalid_argument for a
  // value that is larger than kMaxBytes.
  std::vector<Value> run(const float* waveform);

  // Measures the seconds of every step in the next run, in order of the steps.  Their sum is the
  // time of the run.
  void measure() { is_measured_ = true; }
  const std::vector<double>& seconds() const { return seconds_; }

 private:
  struct Worker {
    explicit Worker(Memory& memory) : scratch(memory) {}

    Scratch scratch;
    std::vector<View> inputs;
    std::vector<void*> blocks;    // of the chain
    std::vector<double> seconds;  // of every step
  };

  void run_chain(const Chain& chain);
  std::unique_ptr<State> started(const Chain& chain);
  void run_block(const Chain& chain, const Rows& rows, int column_group, State* state,
                 Worker& worker);
  template <typename Body>
  void each_task(int64_t n, Order order, Body&& body);
  void expect_not_cancelled();
  void add_seconds(const Chain& chain, double seconds);

  const Type& type_of(int id) const { return id == 0 ? waveform_type_ : steps_[id - 1].op->type(); }
  View whole(int id) const;
  View view_in(const Worker& worker, int id, const Rows& rows) const;
  View given(const View& x, const Needs& needs, const Rows& rows, int column_group,
             int n_column_groups, Scratch& scratch) const;
  Value value_of(int id) const;

  const std::vector<Step>& steps_;
  const Plan& plan_;
  const std::vector<int64_t>& n_rows_;
  Memory& memory_;
  int n_threads_;
  Cancel* cancel_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_poll_{};
  const Type waveform_type_ = Type::floats(1);
  const float* waveform_ = nullptr;
  std::vector<std::shared_ptr<void>> slots_;
  std::vector<Worker> workers_;
  bool is_measured_ = false;
  std::vector<double> seconds_;
};

}  // namespace earbit
