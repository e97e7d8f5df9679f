// An op with independent rows, which runs on blocks of rows together with the ops that follow it,
// while a block is in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/op.h"

namespace earbit {

class RowOp : public Op {
 public:
  // Whether row i of the result follows from row i of the inputs, with nothing prepared: such an op
  // can run behind another one of the same block.
  virtual bool is_row_by_row() const = 0;

  // The inputs as `run_rows` reads them, made once for all rows.
  virtual std::vector<Value> prepared(const std::vector<Value>& inputs, const Workspace&) const {
    return inputs;
  }

  // The result before it is computed: memory for it.  Throws std::invalid_argument for inputs whose
  // numbers of rows do not fit.
  virtual Value output(const std::vector<Value>& inputs, const Workspace& work) const {
    return work.make(type(), rows_of(inputs));
  }

  // How many of n rows are computed at a time.
  virtual int64_t block_rows(int64_t n, int n_threads) const;

  // Rows [begin, end) of `y`, which `output` gave, from what `prepared` gave.
  virtual void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                        const Value& y) const = 0;

  Value run(const std::vector<Value>& inputs, const Workspace& work) const final;
};

// A step of a program while it runs: an op, what it reads and where it writes.
struct RunningRows {
  const RowOp* op;
  std::vector<Value> inputs;  // as prepared
  Value y;                    // owned elsewhere
};

// The memory of a value, without owning it.
Value unowned(const Value& value);

// Computes all rows of some ops, block by block, each block by one op after the other; all but the
// first are row by row.
void run_blocks(const std::vector<RunningRows>& ops, int n_threads);

}  // namespace earbit
