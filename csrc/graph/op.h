// One step of a program.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/scratch.h"
#include "graph/view.h"

namespace earbit {

// Inputs of an op that have different numbers of rows, which no audio makes equal.
struct UnfitRows : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Data of an op in one run: what all rows of the result share, such as keys in the layout of
// weights, or what passes from one row to the next.
class State {
 public:
  virtual ~State() = default;

  // Parts can be computed on any thread and in any order, all before `finish` and before any row.
  virtual int64_t n_parts() const { return 0; }
  virtual void run_part(int64_t /*part*/, Scratch& /*scratch*/) {}
  virtual void finish() {}
};

// Order in which an op computes rows: any order, on several threads, or one after the other.
enum class Order { any, forward, backward };

// Rows that an op computes at once.
struct BlockRows {
  int64_t most = 0;  // 0: any number, so that the op can follow another op on the same rows
  int64_t multiple = 1;
};

// Multiply-adds of a result, and the operands that they have.
struct Work {
  enum class Operands { none, f32, i8, b1 };
  Operands operands = Operands::none;
  double n_products = 0;
};

// A part of a result: some rows of one group of columns.
struct Block {
  std::span<const View> inputs;  // with the rows that are needed at least
  Rows rows;
  int column_group;
  View y;
  State* state;
  Scratch& scratch;
};

// Ops are immutable, so several threads can run one.
class Op {
 public:
  virtual ~Op() = default;

  virtual const Type& type() const = 0;

  // Rows of an input that rows of the result need.  Ops that take any block need the same row.
  virtual Needs needs(size_t /*input*/) const { return Needs::row(); }

  // Number of rows of the result, at most kMaxRows, for inputs of n rows.  By default as many as
  // the inputs that are not needed as a whole give.  Throws std::invalid_argument if there are too
  // few, and UnfitRows if inputs do not fit each other.
  virtual int64_t rows(const std::vector<int64_t>& inputs) const;

  // Groups of columns of the result that are computed independently, such as heads.
  virtual int n_column_groups() const { return 1; }
  virtual BlockRows block_rows() const { return {}; }
  virtual Order order() const { return Order::any; }

  // Whether row i of the result can be written over row i of this input, which has its type.
  virtual bool can_overwrite(size_t /*input*/) const { return false; }

  // The products of a result for inputs of n rows; none where other work takes longer.
  virtual Work work(const std::vector<int64_t>& /*inputs*/) const { return {}; }

  // The state of a run, or null.  Inputs that are needed as a whole have all rows.
  virtual std::unique_ptr<State> start(std::span<const View> /*inputs*/) const { return nullptr; }

  // Computes block.rows of y, in the columns of a group.
  virtual void run_rows(const Block& block) const = 0;
};

// Builds the op `name`; throws std::invalid_argument for an unknown name and for invalid attributes
// or input types.
std::unique_ptr<Op> make_op(const std::string& name, const std::vector<Type>& inputs,
                            Attributes& attributes);

// Factories of the ops in ops/, one for each op of ops.def.
using MakeOp = std::unique_ptr<Op> (*)(const std::vector<Type>&, Attributes&);
#define OP(name, text) \
  std::unique_ptr<Op> make_##name(const std::vector<Type>& inputs, Attributes& attributes);
#include "graph/ops.def"
#undef OP

// An op of ops.def.
struct OpEntry {
  const char* name;
  const char* text;  // what it computes
  MakeOp make;
};

// All ops, by name.
std::span<const OpEntry> all_ops();

// Input checks of the factories.
void expect_inputs(const std::vector<Type>& inputs, size_t n);
void expect_floats(const std::vector<Type>& inputs, size_t n);
void expect_bits(const std::vector<Type>& inputs, size_t n);
void expect_codes(const std::vector<Type>& inputs, size_t n);

}  // namespace earbit
