// A program: ops in order.  Built once, then immutable; any number of runs at the same time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/op.h"

namespace earbit {

class Program {
 public:
  // Value 0 is the waveform: floats, one column.
  Program() : types_{Type::floats(1)} {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Appends an op that reads earlier values; returns the id of the value that it makes.
  // Throws std::invalid_argument when anything does not fit; the program is then unchanged.
  int add(const std::string& name, const std::vector<int>& inputs, Attributes& attributes);

  // Runs on n samples and returns the values asked for; others are freed after their last use.
  std::vector<Value> run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                         int n_threads) const;

  // Name and seconds of every op, in order.
  std::vector<std::pair<std::string, double>> profile(const float* waveform, int64_t n,
                                                      int n_threads) const;

  // Rows of every value for n samples.  Throws std::invalid_argument when there are too few.
  std::vector<int64_t> rows(int64_t n) const;

  const Type& type(int value) const { return types_[value]; }

  int n_values() const { return static_cast<int>(types_.size()); }

 private:
  struct Step {
    std::string name;
    std::vector<int> inputs;
    std::unique_ptr<Op> op;
  };

  template <typename Around>
  std::vector<Value> run_steps(const float* waveform, int64_t n, const std::vector<int>& outputs,
                               int n_threads, Around&& around) const;

  std::vector<Step> steps_;
  std::vector<Type> types_;
  // Not a part of what a program is: runs hand it on to each other.
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace earbit
