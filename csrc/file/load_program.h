// Loads a program from a program file, whose format is in docs/format.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "file/source.h"
#include "graph/program.h"

namespace earbit {

// What a load may allocate, in sizes of the file.  The most is 130: a tensor, its panel where 64
// outputs of two words each hold a single one, and what belongs to the outputs.
constexpr int kMaxLoadGrowth = 130;

// What a program says of its audio, besides features.
struct Head {
  std::string task;
  // "class", "vector": one row for the clip; "sequence", "segments": a row per frame.
  std::string kind;
  int value;                        // floats, a column per label; a vector has no labels
  std::vector<std::string> labels;  // in the order of the columns, distinct within a slot
  std::vector<int> slots;           // labels of each slot of a class, in their order
};

struct LoadedProgram {
  std::unique_ptr<Program> program;
  std::vector<int> outputs;         // values of the hidden states, the encoder's input first
  std::map<std::string, int> bits;  // packed values by the leaf that reads them
  std::optional<Head> head;
  std::string origin;  // a JSON object: which model and plan it was made from
  std::string digest;  // 16 hexadecimal digits that follow from every byte of the file
};

// Reads and checks a whole file; nothing of it is needed afterwards.  Tensors are read op by op,
// straight to where an op is built from them.  What is allocated is bounded by the size of the
// file: at most kMaxLoadGrowth times as much.
// Throws FormatError that names the place, std::bad_alloc when memory is short.
LoadedProgram load_program(const Source& source);

}  // namespace earbit
