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
    types.push_back(type(id));
  }
  Step step{name, inputs, make_op(name, types, attributes)};
  step.row_op = dynamic_cast<const RowOp*>(step.op.get());
  const int from = inputs[step.op->rows_from()];
  step.is_doubled = from > 0 && steps_[from - 1].is_doubled;
  if (step.op->doubles_rows()) {
    if (step.is_doubled) {
      throw std::invalid_argument("the rows of value " + std::to_string(from) + " follow from " +
                                  name + " already");
    }
    step.is_doubled = true;
  }
  steps_.push_back(std::move(step));
  try {
    join_chain();
  } catch (...) {
    steps_.pop_back();
    throw;
  }
  return n_values() - 1;
}

// Adds the last step to a chain; changes nothing if memory runs out.
void Program::join_chain() {
  const int s = static_cast<int>(steps_.size()) - 1;
  int last = -1;  // last chain that computes an input
  for (int id : steps_[s].inputs) last = std::max(last, id == 0 ? -1 : steps_[id - 1].chain);
  const RowOp* op = steps_[s].row_op;
  const bool joins = op != nullptr && op->is_row_by_row() && last >= 0 &&
                     steps_[chains_[last].front()].row_op != nullptr;
  if (joins) {
    chains_[last].push_back(s);
  } else {
    last = static_cast<int>(chains_.size());
    chains_.push_back({s});
  }
  steps_[s].chain = last;
}

std::vector<int64_t> Program::rows(int64_t n, int last) const {
  std::vector<int64_t> rows;
  const auto add = [&](int64_t n_rows) {
    if (n_rows > kMaxRows) {
      throw std::invalid_argument("a value of " + std::to_string(n_rows) + " rows, at most " +
                                  std::to_string(kMaxRows) + " are allowed; cut the audio");
    }
    rows.push_back(n_rows);
  };
  add(n);
  for (int s = 0; s < last; ++s) {
    std::vector<int64_t> inputs;
    for (int id : steps_[s].inputs) inputs.push_back(rows[id]);
    add(steps_[s].op->rows(inputs));
  }
  return rows;
}

int64_t Program::min_samples(int id) const {
  constexpr int64_t kMostSearched = int64_t{1} << 28;  // more than 4 h, the longest audio of a run
  const auto is_enough = [&](int64_t n) {
    try {
      return rows(n, id)[id] > 0;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  // Every value has as many rows as with less audio, or more.
  int64_t too_few = 0, enough = 1;
  while (enough < kMostSearched && !is_enough(enough)) {
    too_few = enough;
    enough *= 2;
  }
  while (enough - too_few > 1) {
    const int64_t middle = too_few + (enough - too_few) / 2;
    (is_enough(middle) ? enough : too_few) = middle;
  }
  return enough;
}

// Number of remaining uses of every value.
std::vector<int> Program::uses(int n_steps, const std::vector<int>& outputs) const {
  std::vector<int> uses(n_values(), 0);
  for (int s = 0; s < n_steps; ++s) {
    for (int id : steps_[s].inputs) ++uses[id];
  }
  for (int id : outputs) ++uses[id];
  return uses;
}

std::vector<Value> Program::inputs_of(const Step& step, std::vector<Value>& values,
                                      std::vector<int>& uses) const {
  std::vector<Value> inputs;
  for (int id : step.inputs) {
    inputs.push_back(values[id]);
    // Released at its last use, so that the op is the only owner and can overwrite it.
    if (--uses[id] == 0) values[id] = Value();
  }
  return inputs;
}

void Program::run_chain(const Chain& chain, int n_steps, std::vector<Value>& values,
                        std::vector<int>& uses, const Workspace& work) const {
  const auto made = [&](int s, Value value, int64_t n_rows) {
    if (value.rows != n_rows) {
      throw std::logic_error("op " + std::to_string(s) + " (" + steps_[s].name + ") made " +
                             std::to_string(value.rows) + " rows, not as many as it says");
    }
    if (uses[s + 1] > 0) values[s + 1] = std::move(value);
  };
  if (steps_[chain.front()].row_op == nullptr) {
    const int s = chain.front();
    const std::vector<Value> inputs = inputs_of(steps_[s], values, uses);
    made(s, steps_[s].op->run(inputs, work), steps_[s].op->rows_of(inputs));
    return;
  }
  std::vector<RunningRows> running;
  std::vector<Value> unused;
  for (int s : chain) {
    if (s >= n_steps) break;
    const RowOp* op = steps_[s].row_op;
    std::vector<Value> inputs = inputs_of(steps_[s], values, uses);
    Value y = op->output(inputs, work);
    const int64_t n_rows = op->rows_of(inputs);
    if (running.empty()) inputs = op->prepared(inputs, work);
    // An overwritten buffer keeps one owner, the result, so that the next op can overwrite it too.
    for (Value& input : inputs) {
      if (input.floats != nullptr && input.floats == y.floats) input = unowned(input);
    }
    running.push_back({op, std::move(inputs), unowned(y)});
    if (uses[s + 1] == 0) unused.push_back(y);
    made(s, std::move(y), n_rows);
  }
  run_blocks(running, work.n_threads);
}

template <typename Around>
std::vector<Value> Program::run_chains(const float* waveform, int64_t n,
                                       const std::vector<int>& outputs, int n_threads,
                                       Around&& around) const {
  int n_steps = 0;
  for (int id : outputs) {
    if (id < 0 || id >= n_values()) {
      throw std::invalid_argument("value " + std::to_string(id) + "; there are " +
                                  std::to_string(n_values()));
    }
    n_steps = std::max(n_steps, id);
  }
  std::vector<int> uses_left = uses(n_steps, outputs);
  const Workspace work{*memory_, n_threads};
  std::vector<Value> results;
  results.reserve(outputs.size());
  std::vector<Value> values(n_values());
  values[0] = work.make(waveform_, n);
  std::copy(waveform, waveform + n, values[0].floats.get());
  for (const Chain& chain : chains_) {
    if (chain.front() >= n_steps) break;
    around(chain, [&] { run_chain(chain, n_steps, values, uses_left, work); });
  }
  for (int id : outputs) results.push_back(values[id]);
  values.clear();
  memory_->trim();
  return results;
}

std::vector<Value> Program::run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                                int n_threads) const {
  return run_chains(waveform, n, outputs, n_threads, [](const Chain&, auto&& run) { run(); });
}

std::vector<std::pair<std::string, double>> Program::profile(const float* waveform, int64_t n,
                                                             int n_threads) const {
  std::vector<std::pair<std::string, double>> times;
  run_chains(waveform, n, {n_values() - 1}, n_threads, [&](const Chain& chain, auto&& run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::string name;
    for (int s : chain) name += (name.empty() ? "" : "+") + steps_[s].name;
    times.emplace_back(name, elapsed.count());
  });
  return times;
}

}  // namespace earbit
