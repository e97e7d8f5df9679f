// Runs a plan on one clip: values have all of their rows in memory, in slots of the plan.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/chain_runner.h"

namespace earbit {

class Executor {
 public:
  // n_rows: rows of all needed values;  cancel: may be null.  Everything outlives the executor.
  Executor(const std::vector<Step>& steps, const Plan& plan, const std::vector<int64_t>& n_rows,
           Memory& memory, int n_threads, Cancel* cancel);

  // The outputs of the plan, from all rows of the values that are given, in order.  Throws
  // Cancelled, std::bad_alloc, and std::invalid_argument for a value that is larger than kMaxBytes.
  std::vector<Value> run(const std::vector<View>& given);

  // Measures the seconds of every step in the next run, in order of the steps.  Their sum is the
  // time of the run.
  void measure() { runner_.measure(); }
  const std::vector<double>& seconds() const { return runner_.seconds(); }

 private:
  void expect_sizes(const std::vector<View>& given) const;
  Value value_of(int id, const std::vector<View>& given) const;
  Value copy_of(const View& view) const;

  const std::vector<Step>& steps_;
  const Plan& plan_;
  const std::vector<int64_t>& n_rows_;
  Memory& memory_;
  ChainRunner runner_;
  std::vector<std::shared_ptr<void>> slots_;
};

}  // namespace earbit
