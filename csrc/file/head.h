// The head of a program, which computes scores of labels, or a vector.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "file/json.h"
#include "graph/program.h"

namespace earbit {

struct Head {
  std::string task;
  // "class", "vector": one row for the clip; "sequence", "segments": a row per frame.
  std::string kind;
  int value;                        // floats, a column per label; a vector has no labels
  std::vector<std::string> labels;  // in the order of the columns, distinct within a slot
  std::vector<int> slots;           // labels of each slot of a class, in their order
  // Of a class of one slot: a label with lower log odds against the others together is rejected.
  std::optional<double> min_log_odds;
  int64_t min_samples;  // the shortest audio that it takes
};

// Reads the record of a head; throws FormatError for one that does not fit the program.
Head read_head(const Json& record, const Program& program);

}  // namespace earbit
