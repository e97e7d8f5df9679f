#include "graph/row_op.h"

#include "cpu/thread_pool.h"

namespace earbit {

int64_t RowOp::block_rows(int64_t n, int n_threads) const {
  constexpr int64_t kMost = 64;
  return even_grain(n, kMost, 1, n_threads);
}

Value RowOp::run(const std::vector<Value>& inputs, const Workspace& work) const {
  Value y = output(inputs, work);
  run_blocks({{this, prepared(inputs, work), unowned(y)}}, work.n_threads);
  return y;
}

Value unowned(const Value& value) {
  const std::shared_ptr<void> nobody;
  Value view{value.type, value.rows, nullptr, nullptr, nullptr};
  view.floats = {nobody, value.floats.get()};
  view.words = {nobody, value.words.get()};
  view.codes = {nobody, value.codes.get()};
  return view;
}

void run_blocks(const std::vector<RunningRows>& ops, int n_threads) {
  const int64_t n = ops.front().y.rows;
  parallel_for(n, ops.front().op->block_rows(n, n_threads), n_threads,
               [&](int64_t begin, int64_t end) {
                 for (const RunningRows& running : ops) {
                   running.op->run_rows(running.inputs, begin, end, running.y);
                 }
               });
}

}  // namespace earbit
