#include "graph/program.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace earbit {

int Program::add(const std::string& name, const std::vector<int>& inputs, Attributes& attributes) {
  std::vector<Type> types;
  for (int id : inputs) {
    if (id < 0 || id >= n_values()) {
      throw std::invalid_argument("input value " + std::to_string(id) + "; there are " +
                                  std::to_string(n_values()) + " so far");
    }
    types.push_back(types_[id]);
  }
  Step step{name, inputs, make_op(name, types, attributes)};
  types_.push_back(step.op->type());
  steps_.push_back(std::move(step));
  return n_values() - 1;
}

std::vector<int64_t> Program::rows(int64_t n) const {
  std::vector<int64_t> rows = {n};
  for (const Step& step : steps_) {
    std::vector<int64_t> inputs;
    for (int id : step.inputs) inputs.push_back(rows[id]);
    rows.push_back(step.op->rows(inputs));
  }
  return rows;
}

namespace {

int64_t rows_of(const Op& op, const std::vector<Value>& inputs) {
  std::vector<int64_t> rows;
  for (const Value& input : inputs) rows.push_back(input.rows);
  return op.rows(rows);
}

}  // namespace

template <typename Around>
std::vector<Value> Program::run_steps(const float* waveform, int64_t n,
                                      const std::vector<int>& outputs, int n_threads,
                                      Around&& around) const {
  std::vector<int> last_use(types_.size(), -1);
  int n_steps = 0;
  for (int id : outputs) {
    if (id < 0 || id >= n_values()) {
      throw std::invalid_argument("value " + std::to_string(id) + "; there are " +
                                  std::to_string(n_values()));
    }
    n_steps = std::max(n_steps, id);
  }
  for (int s = 0; s < n_steps; ++s) {
    for (int id : steps_[s].inputs) last_use[id] = s;
  }
  for (int id : outputs) last_use[id] = n_steps;

  const Workspace work{*memory_, n_threads};
  std::vector<Value> values(types_.size());
  values[0] = work.make(types_[0], n);
  std::copy(waveform, waveform + n, values[0].floats.get());
  for (int s = 0; s < n_steps; ++s) {
    const Step& step = steps_[s];
    std::vector<Value> inputs;
    for (int id : step.inputs) {
      // At its last use a value is handed over, so that an op may write over it.
      if (last_use[id] == s && std::count(step.inputs.begin(), step.inputs.end(), id) == 1) {
        inputs.push_back(std::move(values[id]));
        values[id] = Value();
      } else {
        inputs.push_back(values[id]);
      }
    }
    around(s, [&] { values[s + 1] = step.op->run(inputs, work); });
    if (values[s + 1].rows != rows_of(*step.op, inputs)) {
      throw std::logic_error("op " + std::to_string(s) + " (" + step.name + ") made " +
                             std::to_string(values[s + 1].rows) + " rows, not as many as it says");
    }
    for (int id : step.inputs) {
      if (last_use[id] == s) values[id] = Value();
    }
    if (last_use[s + 1] < 0) values[s + 1] = Value();
  }
  std::vector<Value> results;
  for (int id : outputs) results.push_back(values[id]);
  values.clear();
  memory_->trim();
  return results;
}

std::vector<Value> Program::run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                                int n_threads) const {
  return run_steps(waveform, n, outputs, n_threads, [](int, auto&& step) { step(); });
}

std::vector<std::pair<std::string, double>> Program::profile(const float* waveform, int64_t n,
                                                             int n_threads) const {
  std::vector<std::pair<std::string, double>> times;
  run_steps(waveform, n, {n_values() - 1}, n_threads, [&](int s, auto&& step) {
    const auto start = std::chrono::steady_clock::now();
    step();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    times.emplace_back(steps_[s].name, elapsed.count());
  });
  return times;
}

}  // namespace earbit
