// An op with independent rows, which runs on blocks of rows together with the ops that follow it,
// while a block is in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/op.h"

namespace earbit {

class RowOp : public Op {
 public:
  // Whether row i of the result depends only on row i of the inputs, without preparation.  Such an
  // op can follow another op on the same block.
  virtual bool is_row_by_row() const = 0;

  // Converts the inputs to the form that `run_rows` reads, once for all rows.
  virtual std::vector<Value> prepared(const std::vector<Value>& inputs, const Workspace&) const {
    return inputs;
  }

  // Allocates the result.  Throws std::invalid_argument if the inputs have different numbers of
  // rows.
  virtual Value output(const std::vector<Value>& inputs, const Workspace& work) const {
    return work.make(type(), rows_of(inputs));
  }

  // Number of rows per block for n rows.
  virtual int64_t block_rows(int64_t n, int n_threads) const;

  // Computes rows [begin, end) of `y` (from `output`) from the inputs of `prepared`.
  virtual void run_rows(const std::vector<Value>& inputs, int64_t begin, int64_t end,
                        const Value& y) const = 0;

  Value run(const std::vector<Value>& inputs, const Workspace& work) const final;
};

// A step of a running program: an op, its inputs and its result.
struct RunningRows {
  const RowOp* op;
  std::vector<Value> inputs;  // as prepared
  Value y;                    // owned elsewhere
};

// The memory of a value, without owning it.
Value unowned(const Value& value);

// Computes all rows of a chain block by block, applying all ops to a block in order.  All ops but
// the first are row-wise.
void run_blocks(const std::vector<RunningRows>& ops, int n_threads);

}  // namespace earbit
