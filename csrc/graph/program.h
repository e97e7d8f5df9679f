// A program: an ordered list of ops, immutable after construction and safe for parallel runs.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/cancel.h"
#include "graph/plan.h"

namespace earbit {

// Time and work of an op in a run.
struct OpTime {
  std::string name;
  int chain;  // number of the chain that the op ran in
  double seconds;
  Work work;
};

// Rows of the result of a step, at most kMaxRows, from the rows of all values before it.  Throws as
// Op::rows does.
int64_t rows_of_step(const Step& step, const std::vector<int64_t>& rows);

class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Appends an op that reads earlier values; returns the id of its result.  Throws
  // std::invalid_argument if anything is invalid and std::bad_alloc if memory runs out; the program
  // is then unchanged.
  int add(const std::string& name, const std::vector<int>& inputs, Attributes& attributes);

  // Makes the plan of runs for these outputs now.  Runs for other outputs make it when they begin.
  // Throws std::invalid_argument for a value that does not exist.
  void prepare(const std::vector<int>& outputs);

  // Runs on n samples and returns the values asked for.  Throws Cancelled if `cancel` asks for it.
  std::vector<Value> run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                         int n_threads, Cancel* cancel = nullptr) const;

  // The same from all rows of other values than the waveform: of `given`, whose views are `views`.
  std::vector<Value> run_from(const std::vector<int>& given, const std::vector<View>& views,
                              const std::vector<int>& outputs, int n_threads,
                              Cancel* cancel = nullptr) const;

  // Time of every op in order, also of those that run in one chain.
  std::vector<OpTime> profile(const float* waveform, int64_t n, int n_threads,
                              Cancel* cancel = nullptr) const;

  // Rows of values 0 to `last` for n samples.  Throws std::invalid_argument when there are too few
  // or more than kMaxRows, and UnfitRows.
  std::vector<int64_t> rows(int64_t n, int last) const;
  std::vector<int64_t> rows(int64_t n) const { return rows(n, n_values() - 1); }

  // The fewest samples that give value `id` a row; 2^28 if fewer do not.  Throws UnfitRows.
  int64_t min_samples(int id) const;

  const Type& type(int value) const {
    return value == 0 ? waveform_ : steps_[value - 1].op->type();
  }

  int n_values() const { return static_cast<int>(steps_.size()) + 1; }
  const std::vector<Step>& steps() const { return steps_; }

  // Throws std::invalid_argument for a value that does not exist.
  Plan plan(const Wanted& wanted) const;

  // Of all runs.
  Memory& memory() const { return *memory_; }

 private:
  bool has_more_rows(const Step& step) const;
  std::vector<Value> run_plan(const Plan& plan, const std::vector<View>& given, int n_threads,
                              Cancel* cancel) const;
  std::vector<int64_t> needed_rows(const std::vector<View>& given, const Plan& plan) const;

  const Type waveform_ = Type::floats(1);  // value 0
  std::vector<Step> steps_;
  std::vector<char> has_more_rows_;  // of every value: whether an op has added rows
  std::vector<Plan> plans_;
  // Shared by all runs; it does not affect results.
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace earbit
