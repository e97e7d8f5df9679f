// Runs the chains of a plan: blocks of rows, threads, memory of blocks, rows of padding, times and
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

class ChainRunner {
 public:
  // Everything outlives the runner.
  ChainRunner(const std::vector<Step>& steps, const Plan& plan, Memory& memory, int n_threads);

  // Runs on this thread from now on.  cancel: may be null, outlives the calls of this thread.
  void begin(Cancel* cancel);

  // Gives the memory of blocks back until the next run.
  void release();

  // Says where rows of a value that is given or has a slot are.
  void place(int id, const View& view) { views_[id] = view; }

  // The state of the first step of a chain, or null; others have none.
  std::unique_ptr<State> start(const Chain& chain);

  // Computes rows of all values of a chain.  Throws Cancelled and std::bad_alloc.
  void run(const Chain& chain, const Rows& rows, State* state);

  // Starts a chain and computes all rows.
  void run_whole(const Chain& chain, int64_t n_rows);

  // Measures the seconds of every step of whole chains.  Their sum is the time of the chains.
  void measure();
  const std::vector<double>& seconds() const { return seconds_; }

 private:
  struct Worker {
    explicit Worker(Memory& memory) : scratch(memory) {}

    Scratch scratch;
    std::vector<View> inputs;
    std::vector<void*> blocks;    // of the chain
    std::vector<double> seconds;  // of every step
  };

  void run_block(const Chain& chain, const Rows& rows, int column_group, State* state,
                 Worker& worker);
  template <typename Body>
  void each_task(int64_t n, Order order, Body&& body);
  void expect_not_cancelled();
  void add_seconds(const Chain& chain, double seconds);
  View view_in(const Worker& worker, int id, const Rows& rows) const;
  View given(const View& x, const Needs& needs, const Rows& rows, int column_group,
             int n_column_groups, Scratch& scratch) const;

  const std::vector<Step>& steps_;
  const Plan& plan_;
  int n_threads_;
  Cancel* cancel_ = nullptr;
  std::thread::id caller_;
  std::chrono::steady_clock::time_point last_poll_{};
  std::vector<View> views_;  // of every value outside of blocks
  std::vector<Worker> workers_;
  bool is_measured_ = false;
  std::vector<double> seconds_;
};

}  // namespace earbit
