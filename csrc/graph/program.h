// A program: an ordered list of ops, immutable after construction and safe for parallel runs.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/row_op.h"

namespace earbit {

class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Appends an op that reads earlier values; returns the id of its result.  Throws
  // std::invalid_argument if anything is invalid and std::bad_alloc if memory runs out; the program
  // is then unchanged.
  int add(const std::string& name, const std::vector<int>& inputs, Attributes& attributes);

  // Runs on n samples and returns the values asked for; others are freed after their last use.
  std::vector<Value> run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                         int n_threads) const;

  // Name and seconds of every chain of ops that run together, in order.
  std::vector<std::pair<std::string, double>> profile(const float* waveform, int64_t n,
                                                      int n_threads) const;

  // Rows of values 0 to `last` for n samples.  Throws std::invalid_argument when there are too few
  // or more than kMaxRows.
  std::vector<int64_t> rows(int64_t n, int last) const;
  std::vector<int64_t> rows(int64_t n) const { return rows(n, n_values() - 1); }

  // The fewest samples that give value `id` a row; 2^28 if fewer do not.
  int64_t min_samples(int id) const;

  const Type& type(int value) const {
    return value == 0 ? waveform_ : steps_[value - 1].op->type();
  }

  int n_values() const { return static_cast<int>(steps_.size()) + 1; }

 private:
  struct Step {
    std::string name;
    std::vector<int> inputs;
    std::unique_ptr<Op> op;
    const RowOp* row_op = nullptr;  // the op, if it is one
    bool is_doubled = false;        // whether it, or an op before it, doubles rows
    int chain = 0;
  };

  // Steps that run together on blocks of rows: the first one, and row-wise steps that read only its
  // results or those of earlier chains.
  using Chain = std::vector<int>;

  void join_chain();
  std::vector<int> uses(int n_steps, const std::vector<int>& outputs) const;
  std::vector<Value> inputs_of(const Step& step, std::vector<Value>& values,
                               std::vector<int>& uses) const;
  void run_chain(const Chain& chain, int n_steps, std::vector<Value>& values,
                 std::vector<int>& uses, const Workspace& work) const;
  template <typename Around>
  std::vector<Value> run_chains(const float* waveform, int64_t n, const std::vector<int>& outputs,
                                int n_threads, Around&& around) const;

  const Type waveform_ = Type::floats(1);  // value 0
  std::vector<Step> steps_;
  std::vector<Chain> chains_;
  // Shared by all runs; it does not affect results.
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace earbit
