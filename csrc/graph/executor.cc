#include "graph/executor.h"

#include <algorithm>
#include <cstring>

namespace earbit {

Executor::Executor(const std::vector<Step>& steps, const Plan& plan,
                   const std::vector<int64_t>& n_rows, Memory& memory, int n_threads,
                   Cancel* cancel)
    : steps_(steps),
      plan_(plan),
      n_rows_(n_rows),
      memory_(memory),
      runner_(steps, plan, memory, n_threads) {
  runner_.begin(cancel);
}

std::vector<Value> Executor::run(const std::vector<View>& given) {
  expect_sizes(given);
  for (size_t i = 0; i < given.size(); ++i) runner_.place(plan_.wanted.given[i], given[i]);
  slots_.resize(plan_.slots.size());
  for (const Chain& chain : plan_.chains) {
    for (int slot : chain.takes) {
      int64_t n_bytes = 0;
      for (int id : plan_.slots[slot]) {
        n_bytes = std::max(n_bytes, steps_[id - 1].op->type().bytes(n_rows_[id]));
      }
      slots_[slot] = memory_.take(static_cast<size_t>(n_bytes));
      for (int id : plan_.slots[slot]) {
        const int64_t n = n_rows_[id];
        runner_.place(id, {steps_[id - 1].op->type(), {0, n}, slots_[slot].get(), n});
      }
    }
    runner_.run_whole(chain, n_rows_[chain.steps.front() + 1]);
    for (int slot : chain.frees) slots_[slot] = nullptr;
  }
  const std::vector<int>& outputs = plan_.wanted.outputs;
  std::vector<Value> results;
  for (auto id = outputs.begin(); id != outputs.end(); ++id) {
    const bool is_repeated = std::find(outputs.begin(), id, *id) != id;
    Value value = value_of(*id, given);
    results.push_back(is_repeated ? copy_of(View::of(value)) : std::move(value));
  }
  return results;
}

void Executor::expect_sizes(const std::vector<View>& given) const {
  for (const View& view : given) view.type.bytes(view.rows.size());
  for (const Chain& chain : plan_.chains) {
    for (int s : chain.steps) steps_[s].op->type().bytes(n_rows_[s + 1]);
  }
}

Value Executor::value_of(int id, const std::vector<View>& given) const {
  const Place& place = plan_.places[id];
  if (place.kind != Place::Kind::given) {
    return Value::in(slots_[place.index], steps_[id - 1].op->type(), n_rows_[id]);
  }
  const auto at = std::find(plan_.wanted.given.begin(), plan_.wanted.given.end(), id);
  return copy_of(given[at - plan_.wanted.given.begin()]);
}

Value Executor::copy_of(const View& view) const {
  Value copy = Value::make(memory_, view.type, view.rows.size());
  std::memcpy(copy.data(), view.data, static_cast<size_t>(view.type.bytes(view.rows.size())));
  return copy;
}

}  // namespace earbit
