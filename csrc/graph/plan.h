// Plan of a run: which ops run, together with which others, and where their results are.  It
// follows from the ops and the values asked for, not from the audio.
//
// Ops that take any block of rows run in a chain: on a block of rows of the op before, while it is
// in the cache.  A value that does not leave its chain has memory for one block only.  Any other
// value has a slot, a buffer that other values had before or have after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/op.h"

namespace earbit {

// An op of a program.  Step s makes value s + 1; value 0 is the waveform.
struct Step {
  std::string name;
  std::vector<int> inputs;
  std::unique_ptr<Op> op;
};

// Where a value is.
struct Place {
  enum class Kind { nowhere, given, slot, block };
  Kind kind = Kind::nowhere;
  int index = 0;  // of the slot, or of the block within its chain
};

struct Chain {
  std::vector<int> steps;  // all but the first take any block of rows
  int n_blocks = 0;        // buffers of one block
  std::vector<int> takes;  // slots that this chain is the first to use
  std::vector<int> frees;  // slots that it is the last to use
};

// Values that a run computes, and those that its caller has.
struct Wanted {
  std::vector<int> outputs;
  std::vector<int> given = {0};  // ops behind them alone run
  // In a stream, rows stay until later rows of other values have been computed, so values that
  // leave their chain have a slot each.
  bool is_streamed = false;
};

struct Plan {
  Wanted wanted;
  std::vector<Chain> chains;
  std::vector<Place> places;            // of every value
  std::vector<std::vector<int>> slots;  // the values of a slot, which is as large as the largest
};

// types, row_bytes: of every value.  n_rows: of every value for audio of usual length, by which the
// values of a slot are chosen.
Plan make_plan(const std::vector<Step>& steps, const Wanted& wanted,
               const std::vector<int64_t>& row_bytes, const std::vector<int64_t>& n_rows);

}  // namespace earbit
