#include "graph/reach.h"

#include <algorithm>
#include <cmath>

namespace earbit {
namespace {

bool needs_whole_clip(const Step& step) {
  for (size_t k = 0; k < step.inputs.size(); ++k) {
    if (step.op->needs(k).is_all) return true;
  }
  return false;
}

// Whether values lead to an output.
std::vector<char> needed_for(const std::vector<Step>& steps, const std::vector<int>& outputs) {
  std::vector<char> is_needed(steps.size() + 1, 0);
  for (int id : outputs) is_needed[id] = 1;
  for (int id = static_cast<int>(steps.size()); id > 0; --id) {
    if (is_needed[id] == 0) continue;
    for (int input : steps[id - 1].inputs) is_needed[input] = 1;
  }
  return is_needed;
}

}  // namespace

std::optional<int> first_of_whole_clip(const std::vector<Step>& steps,
                                       const std::vector<int>& outputs) {
  const std::vector<char> is_needed = needed_for(steps, outputs);
  for (size_t s = 0; s < steps.size(); ++s) {
    if (is_needed[s + 1] != 0 && needs_whole_clip(steps[s])) return static_cast<int>(s);
  }
  return {};
}

Reach reach_of(const std::vector<Step>& steps, const std::vector<int>& outputs) {
  std::vector<Reach> reaches(steps.size() + 1);
  for (size_t s = 0; s < steps.size(); ++s) {
    Reach& reach = reaches[s + 1];
    for (size_t k = 0; k < steps[s].inputs.size(); ++k) {
      const Needs needs = steps[s].op->needs(k);
      const Reach& x = reaches[steps[s].inputs[k]];
      reach.hop = x.hop * static_cast<double>(needs.stride) / static_cast<double>(needs.repeat);
      const auto more = static_cast<int64_t>(std::ceil(static_cast<double>(needs.right) * x.hop));
      reach.ahead = std::max(reach.ahead, x.ahead + more);
    }
  }
  Reach furthest = reaches[outputs.front()];
  for (int id : outputs) furthest.ahead = std::max(furthest.ahead, reaches[id].ahead);
  return furthest;
}

std::vector<int> streamed_on_the_way_to(const std::vector<Step>& steps, int output) {
  const std::vector<char> is_needed = needed_for(steps, {output});
  std::vector<char> is_streamed(steps.size() + 1, 1);
  std::vector<int> last;
  for (size_t s = 0; s < steps.size(); ++s) {
    const std::vector<int>& inputs = steps[s].inputs;
    const bool follows =
        std::any_of(inputs.begin(), inputs.end(), [&](int id) { return is_streamed[id] == 0; });
    is_streamed[s + 1] = !follows && !needs_whole_clip(steps[s]);
    if (is_needed[s + 1] == 0 || is_streamed[s + 1] != 0) continue;
    for (int id : inputs) {
      const bool is_new = std::find(last.begin(), last.end(), id) == last.end();
      if (is_streamed[id] != 0 && is_new) last.push_back(id);
    }
  }
  if (is_streamed[output] != 0) last.push_back(output);
  return last;
}

}  // namespace earbit
