#include "graph/chain_runner.h"

#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.h"

namespace earbit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr int64_t kMostRows = 64;  // of a block whose ops take any number

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

ChainRunner::ChainRunner(const std::vector<Step>& steps, const Plan& plan, Memory& memory,
                         int n_threads)
    : steps_(steps),
      plan_(plan),
      n_threads_(n_threads),
      views_(steps.size() + 1),
      workers_(n_threads, Worker(memory)) {}

void ChainRunner::begin(Cancel* cancel) {
  cancel_ = cancel;
  caller_ = std::this_thread::get_id();
}

void ChainRunner::release() {
  for (Worker& worker : workers_) worker.scratch.release();
}

void ChainRunner::measure() {
  is_measured_ = true;
  seconds_.assign(steps_.size(), 0.0);
  for (Worker& worker : workers_) worker.seconds = seconds_;
}

// Shares the time of a chain among its steps, by their times on all threads.
void ChainRunner::add_seconds(const Chain& chain, double seconds) {
  double total = 0;
  for (int s : chain.steps) {
    for (const Worker& worker : workers_) seconds_[s] += worker.seconds[s];
    total += seconds_[s];
  }
  for (int s : chain.steps) seconds_[s] *= total > 0 ? seconds / total : 0;
}

void ChainRunner::expect_not_cancelled() {
  if (cancel_ == nullptr) return;
  if (std::this_thread::get_id() == caller_) {
    const auto now = Clock::now();
    if (now - last_poll_ > kPollInterval) {
      last_poll_ = now;
      cancel_->poll();
    }
  }
  if (cancel_->is_asked()) throw Cancelled();
}

// Calls body(task, worker) for all n tasks, on the threads of the run unless they have an order.
template <typename Body>
void ChainRunner::each_task(int64_t n, Order order, Body&& body) {
  const int64_t n_workers = order == Order::any ? std::min<int64_t>(n_threads_, n) : 1;
  std::atomic<int64_t> next{0};
  parallel_for(n_workers, 1, static_cast<int>(n_workers), [&](int64_t w, int64_t) {
    try {
      for (int64_t i = next++; i < n; i = next++) {
        expect_not_cancelled();
        body(order == Order::backward ? n - 1 - i : i, workers_[w]);
      }
    } catch (...) {
      next = n;
      throw;
    }
  });
}

void ChainRunner::run_whole(const Chain& chain, int64_t n_rows) {
  const auto begin = Clock::now();
  const std::unique_ptr<State> state = start(chain);
  run(chain, {0, n_rows}, state.get());
  if (is_measured_) add_seconds(chain, seconds_since(begin));
}

void ChainRunner::run(const Chain& chain, const Rows& rows, State* state) {
  const Op& first = *steps_[chain.steps.front()].op;
  const int64_t n = rows.size();
  const BlockRows shape = first.block_rows();
  const int64_t n_each =
      even_grain(n, shape.most == 0 ? kMostRows : shape.most, shape.multiple, n_threads_);
  const int64_t n_blocks = n == 0 ? 0 : (n + n_each - 1) / n_each;
  each_task(first.n_column_groups() * n_blocks, first.order(), [&](int64_t task, Worker& worker) {
    const int64_t begin = rows.begin + task % n_blocks * n_each;
    run_block(chain, {begin, std::min(rows.end, begin + n_each)}, static_cast<int>(task / n_blocks),
              state, worker);
  });
}

std::unique_ptr<State> ChainRunner::start(const Chain& chain) {
  const int s = chain.steps.front();
  std::vector<View> inputs;
  for (int id : steps_[s].inputs) inputs.push_back(views_[id]);
  std::unique_ptr<State> state = steps_[s].op->start(inputs);
  if (state == nullptr) return nullptr;
  each_task(state->n_parts(), Order::any, [&](int64_t part, Worker& worker) {
    const auto start = Clock::now();
    worker.scratch.clear();
    state->run_part(part, worker.scratch);
    if (is_measured_) worker.seconds[s] += seconds_since(start);
  });
  state->finish();
  return state;
}

void ChainRunner::run_block(const Chain& chain, const Rows& rows, int column_group, State* state,
                            Worker& worker) {
  worker.scratch.clear();
  worker.blocks.assign(chain.n_blocks, nullptr);
  for (size_t i = 0; i < chain.steps.size(); ++i) {
    const int s = chain.steps[i];
    const Step& step = steps_[s];
    const auto start = is_measured_ ? Clock::now() : Clock::time_point();
    worker.inputs.clear();
    for (size_t k = 0; k < step.inputs.size(); ++k) {
      const View x = view_in(worker, step.inputs[k], rows);
      worker.inputs.push_back(i > 0 ? x
                                    : given(x, step.op->needs(k), rows, column_group,
                                            step.op->n_column_groups(), worker.scratch));
    }
    const Place& place = plan_.places[s + 1];
    if (place.kind == Place::Kind::block && worker.blocks[place.index] == nullptr) {
      worker.blocks[place.index] =
          worker.scratch.take<char>(rows.size() * step.op->type().row_bytes());
    }
    step.op->run_rows({worker.inputs, rows, column_group, view_in(worker, s + 1, rows),
                       i == 0 ? state : nullptr, worker.scratch});
    if (is_measured_) worker.seconds[s] += seconds_since(start);
  }
}

// A value, or its rows in the blocks of a chain.
View ChainRunner::view_in(const Worker& worker, int id, const Rows& rows) const {
  const Place& place = plan_.places[id];
  if (place.kind != Place::Kind::block) return views_[id];
  return {steps_[id - 1].op->type(), rows, worker.blocks[place.index], rows.size()};
}

// The rows of x that an op needs for rows of a group of columns: x itself, or a copy with padding
// or of the columns of that group only.
View ChainRunner::given(const View& x, const Needs& needs, const Rows& rows, int column_group,
                        int n_column_groups, Scratch& scratch) const {
  if (needs.is_all || needs.is_row()) return x;
  const Rows wanted = needs.of(rows);
  const bool is_part = needs.is_by_columns && n_column_groups > 1;
  const bool is_cut = needs.is_padded && !x.rows.contains(wanted);
  if (!is_part && !is_cut) return x;
  View y{x.type, is_cut ? wanted : overlap(wanted, x.rows), nullptr, 0};
  y.held = y.rows.size();
  if (is_part) y.type.cols /= n_column_groups;
  y.data = scratch.take<char>(y.held * y.type.row_bytes());
  const Rows there = overlap(y.rows, x.rows);
  const int n_parts = x.type.kind == Kind::bits ? x.type.groups : 1;
  const int64_t n_bytes = y.type.row_bytes() / n_parts;
  const int64_t step = x.type.row_bytes() / n_parts;
  for (int part = 0; part < n_parts; ++part) {
    const char* from = static_cast<const char*>(x.data) + part * x.held * step +
                       (there.begin - x.rows.begin) * step + (is_part ? column_group * n_bytes : 0);
    char* out = static_cast<char*>(y.data) + part * y.held * n_bytes;
    const int64_t n_before = there.size() == 0 ? y.held : there.begin - y.rows.begin;
    std::memset(out, needs.padding, static_cast<size_t>(n_before * n_bytes));
    out += n_before * n_bytes;
    if (step == n_bytes) {
      std::memcpy(out, from, static_cast<size_t>(there.size() * n_bytes));
      out += there.size() * n_bytes;
    } else {
      for (int64_t i = 0; i < there.size(); ++i, from += step, out += n_bytes) {
        std::memcpy(out, from, static_cast<size_t>(n_bytes));
      }
    }
    if (there.size() > 0) {
      std::memset(out, needs.padding, static_cast<size_t>((y.rows.end - there.end) * n_bytes));
    }
  }
  return y;
}

}  // namespace earbit
