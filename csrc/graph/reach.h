// How far the rows of a program reach in the audio, as the needs of its ops say.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/plan.h"

namespace earbit {

// Row i of a value follows from the samples up to i * hop + ahead.
struct Reach {
  double hop = 1;
  int64_t ahead = 0;

  // Samples from the one that a row begins with to the last that it waits for.
  int64_t latency() const { return ahead + 1; }
};

// The first step behind which values follow from the whole clip; none if outputs can be streamed.
std::optional<int> first_of_whole_clip(const std::vector<Step>& steps,
                                       const std::vector<int>& outputs);

// The furthest reach of outputs that can be streamed.
Reach reach_of(const std::vector<Step>& steps, const std::vector<int>& outputs);

// The last values that can be streamed on the way to an output: itself, or those that ops of the
// whole clip read.  The rest of the program follows from their rows.
std::vector<int> streamed_on_the_way_to(const std::vector<Step>& steps, int output);

}  // namespace earbit
