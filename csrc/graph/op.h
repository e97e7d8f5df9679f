// One step of a program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/value.h"

namespace earbit {

// What an op computes with, besides its inputs.
struct Workspace {
  Memory& memory;
  int n_threads;

  Value make(const Type& type, int64_t rows) const { return Value::make(memory, type, rows); }

  // The buffer of an input of floats that nobody else holds, else a new one of the same shape.
  Value buffer_of(const Value& x) const {
    return x.floats.use_count() == 1 ? x : make(x.type, x.rows);
  }
};

class Op {
 public:
  virtual ~Op() = default;

  // The type of the value that it makes, given those that it reads.
  virtual const Type& type() const = 0;

  // How many rows it makes of inputs of so many rows, none of them beyond kMaxRows; only the input
  // `rows_from` counts.  Throws std::invalid_argument when there are too few.
  virtual int64_t rows(const std::vector<int64_t>& inputs) const { return inputs[rows_from()]; }
  virtual size_t rows_from() const { return 0; }

  // Whether it makes twice as many rows as it reads.  No op doubles rows that follow from such an
  // op, or a few of them in a chain would make any number of rows.
  virtual bool doubles_rows() const { return false; }

  int64_t rows_of(const std::vector<Value>& inputs) const {
    std::vector<int64_t> n;
    for (const Value& input : inputs) n.push_back(input.rows);
    return rows(n);
  }

  // Computes; inputs have the types that the op was built for.  It never changes itself, so several
  // threads may run it at once.  Throws std::invalid_argument when there are too few rows.
  virtual Value run(const std::vector<Value>& inputs, const Workspace& work) const = 0;
};

// Builds the op called `name`; throws std::invalid_argument for an unknown name and for anything in
// the attributes or the input types that does not fit.
std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes);

// How ops/ is found: a maker per op of ops.def.
using MakeOp = std::unique_ptr<Op> (*)(const std::vector<Type>&, Attributes&);
#define OP(name) \
  std::unique_ptr<Op> make_##name(const std::vector<Type>& inputs, Attributes& attributes);
#include "graph/ops.def"
#undef OP

// Checks that every maker uses on its inputs.
void expect_floats(const std::vector<Type>& inputs, size_t n);
void expect_bits(const std::vector<Type>& inputs, size_t n);
void expect_codes(const std::vector<Type>& inputs, size_t n);

}  // namespace earbit
