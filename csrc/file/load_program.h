// Loads a program from a program file, whose format is in docs/format.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "file/head.h"
#include "file/source.h"
#include "graph/program.h"

namespace earbit {

// Maximum allocation of a load, in file sizes.  The worst case is 130: a tensor, its panel that
// pads one output to 64 outputs of two words, and the data per output.
constexpr int kMaxLoadGrowth = 130;

struct LoadedProgram {
  std::unique_ptr<Program> program;
  std::vector<int> outputs;         // ids of the hidden states, starting with the encoder's input
  std::map<std::string, int> bits;  // ids of packed values by the name of the leaf that reads them
  std::optional<Head> head;
  std::string origin;  // a JSON object with the model and the plan
  std::string digest;  // 16 hexadecimal digits, a hash of the whole file
};

// Reads and validates a file, which is not needed afterwards.  Tensors are read op by op, directly
// before the op is built.  Allocates at most kMaxLoadGrowth times the size of the file.
// Throws FormatError with the position, and std::bad_alloc if memory runs out.
LoadedProgram load_program(const Source& source);

}  // namespace earbit
