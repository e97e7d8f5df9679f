// One step of a program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/value.h"

namespace earbit {

// Resources of an op during a run, besides its inputs.
struct Workspace {
  Memory& memory;
  int n_threads;

  Value make(const Type& type, int64_t rows) const { return Value::make(memory, type, rows); }

  // The buffer of a float input without other owners, else a new one of the same shape.
  Value buffer_of(const Value& x) const {
    return x.floats.use_count() == 1 ? x : make(x.type, x.rows);
  }
};

class Op {
 public:
  virtual ~Op() = default;

  // Type of the result for given input types.
  virtual const Type& type() const = 0;

  // Number of rows of the result for an input `rows_from` of n rows, at most kMaxRows.  Throws
  // std::invalid_argument if there are too few rows.
  virtual int64_t rows(const std::vector<int64_t>& inputs) const { return inputs[rows_from()]; }
  virtual size_t rows_from() const { return 0; }

  // Whether the result has twice as many rows as the input.  Rows are doubled only once along a
  // path, since a chain of such ops could produce any number of rows.
  virtual bool doubles_rows() const { return false; }

  int64_t rows_of(const std::vector<Value>& inputs) const {
    std::vector<int64_t> n;
    for (const Value& input : inputs) n.push_back(input.rows);
    return rows(n);
  }

  // Computes the result; inputs have the types that the op was built for.  Ops are immutable, so
  // several threads can run one.  Throws std::invalid_argument if there are too few rows.
  virtual Value run(const std::vector<Value>& inputs, const Workspace& work) const = 0;
};

// Builds the op `name`; throws std::invalid_argument for an unknown name and for invalid attributes
// or input types.
std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes);

// Factories of the ops in ops/, one for each op of ops.def.
using MakeOp = std::unique_ptr<Op> (*)(const std::vector<Type>&, Attributes&);
#define OP(name) \
  std::unique_ptr<Op> make_##name(const std::vector<Type>& inputs, Attributes& attributes);
#include "graph/ops.def"
#undef OP

// Input checks of the factories.
void expect_floats(const std::vector<Type>& inputs, size_t n);
void expect_bits(const std::vector<Type>& inputs, size_t n);
void expect_codes(const std::vector<Type>& inputs, size_t n);

}  // namespace earbit
