#include "graph/program.h"

#include <algorithm>
#include <stdexcept>

#include "graph/executor.h"

namespace earbit {
namespace {

constexpr int64_t kUsualSamples = 160'000;  // 10 s

}  // namespace

int64_t rows_of_step(const Step& step, const std::vector<int64_t>& rows) {
  std::vector<int64_t> inputs;
  for (int id : step.inputs) inputs.push_back(rows[id]);
  int64_t n = 0;
  try {
    n = step.op->rows(inputs);
  } catch (const UnfitRows& error) {
    throw UnfitRows(step.name + " of " + error.what());
  }
  if (n <= kMaxRows) return n;
  throw std::invalid_argument("a value of " + std::to_string(n) + " rows, at most " +
                              std::to_string(kMaxRows) + " are allowed; cut the audio");
}

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
  const bool has_more = has_more_rows(step);
  has_more_rows_.reserve(steps_.size() + 1);
  steps_.push_back(std::move(step));
  has_more_rows_.push_back(has_more);
  plans_.clear();
  return n_values() - 1;
}

// Whether a result has about twice as many rows as the audio could give it.  Rows are doubled only
// once along a path, since a chain of such ops could produce any number of rows.
bool Program::has_more_rows(const Step& step) const {
  const auto is_more = [this](int id) { return id > 0 && has_more_rows_[id - 1] != 0; };
  // The rows follow from the last input that is not needed as a whole.
  for (size_t k = step.inputs.size(); k-- > 0;) {
    if (!step.op->needs(k).is_all) return is_more(step.inputs[k]);
  }
  constexpr int64_t kMany = 1 << 20;
  const int from = step.inputs.front();
  if (step.op->rows(std::vector<int64_t>(step.inputs.size(), kMany)) <= kMany) return is_more(from);
  if (is_more(from)) {
    throw std::invalid_argument("the rows of value " + std::to_string(from) + " follow from " +
                                step.name + " already");
  }
  return true;
}

void Program::prepare(const std::vector<int>& outputs) { plans_.push_back(plan({outputs})); }

Plan Program::plan(const Wanted& wanted) const {
  for (int id : wanted.outputs) {
    if (id >= 0 && id < n_values()) continue;
    throw std::invalid_argument("value " + std::to_string(id) + "; there are " +
                                std::to_string(n_values()));
  }
  std::vector<int64_t> row_bytes;
  for (int id = 0; id < n_values(); ++id) row_bytes.push_back(type(id).row_bytes());
  std::vector<int64_t> n_rows = {kUsualSamples};
  for (const Step& step : steps_) {
    try {
      n_rows.push_back(rows_of_step(step, n_rows));
    } catch (const std::invalid_argument&) {
      n_rows.push_back(1);  // audio of this length cannot be run
    }
  }
  return make_plan(steps_, wanted, row_bytes, n_rows);
}

std::vector<int64_t> Program::needed_rows(const std::vector<View>& given, const Plan& plan) const {
  std::vector<int64_t> n_rows(n_values(), 0);
  for (size_t i = 0; i < given.size(); ++i) n_rows[plan.wanted.given[i]] = given[i].rows.size();
  for (size_t s = 0; s < steps_.size(); ++s) {
    const Place::Kind kind = plan.places[s + 1].kind;
    if (kind == Place::Kind::slot || kind == Place::Kind::block) {
      n_rows[s + 1] = rows_of_step(steps_[s], n_rows);
    }
  }
  return n_rows;
}

std::vector<int64_t> Program::rows(int64_t n, int last) const {
  if (n > kMaxRows) {
    throw std::invalid_argument("a value of " + std::to_string(n) + " rows, at most " +
                                std::to_string(kMaxRows) + " are allowed; cut the audio");
  }
  std::vector<int64_t> n_rows = {n};
  for (int s = 0; s < last; ++s) n_rows.push_back(rows_of_step(steps_[s], n_rows));
  return n_rows;
}

int64_t Program::min_samples(int id) const {
  constexpr int64_t kMostSearched = int64_t{1} << 28;  // more than 4 h, the longest audio of a run
  const auto is_enough = [&](int64_t n) {
    try {
      return rows(n, id)[id] > 0;
    } catch (const UnfitRows&) {
      throw;  // more audio would not help
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

std::vector<Value> Program::run(const float* waveform, int64_t n, const std::vector<int>& outputs,
                                int n_threads, Cancel* cancel) const {
  const auto prepared = std::find_if(plans_.begin(), plans_.end(), [&](const Plan& known) {
    return known.wanted.outputs == outputs;
  });
  Plan own;
  if (prepared == plans_.end()) own = plan({outputs});
  const Plan& of_run = prepared == plans_.end() ? own : *prepared;
  return run_plan(of_run, {View::of_samples(waveform, n)}, n_threads, cancel);
}

std::vector<Value> Program::run_from(const std::vector<int>& given, const std::vector<View>& views,
                                     const std::vector<int>& outputs, int n_threads,
                                     Cancel* cancel) const {
  return run_plan(plan({outputs, given}), views, n_threads, cancel);
}

std::vector<Value> Program::run_plan(const Plan& plan, const std::vector<View>& given,
                                     int n_threads, Cancel* cancel) const {
  std::vector<Value> results;
  {
    const std::vector<int64_t> n_rows = needed_rows(given, plan);
    Executor executor(steps_, plan, n_rows, *memory_, n_threads, cancel);
    results = executor.run(given);
  }
  memory_->trim();
  return results;
}

std::vector<OpTime> Program::profile(const float* waveform, int64_t n, int n_threads,
                                     Cancel* cancel) const {
  std::vector<char> is_read(n_values(), 0);
  for (const Step& step : steps_) {
    for (int id : step.inputs) is_read[id] = 1;
  }
  std::vector<int> outputs;  // nothing is left out
  for (int id = 1; id < n_values(); ++id) {
    if (is_read[id] == 0) outputs.push_back(id);
  }
  const Plan of_run = plan({outputs});
  const std::vector<View> given = {View::of_samples(waveform, n)};
  const std::vector<int64_t> n_rows = needed_rows(given, of_run);
  std::vector<double> seconds;
  {
    Executor executor(steps_, of_run, n_rows, *memory_, n_threads, cancel);
    executor.measure();
    executor.run(given);
    seconds = executor.seconds();
  }
  memory_->trim();
  std::vector<OpTime> times;
  for (size_t s = 0; s < steps_.size(); ++s) {
    std::vector<int64_t> inputs;
    for (int id : steps_[s].inputs) inputs.push_back(n_rows[id]);
    times.push_back({steps_[s].name, 0, seconds[s], steps_[s].op->work(inputs)});
  }
  for (size_t c = 0; c < of_run.chains.size(); ++c) {
    for (int s : of_run.chains[c].steps) times[s].chain = static_cast<int>(c);
  }
  return times;
}

}  // namespace earbit
