// Gated position bias of attention ops: score(i, j) += gate(i) * bias(j - i), per head.
//
// Inputs behind q, k and v: the gates (n, heads), and the bias of the distances -(n - 1), ...,
// n - 1 (2 n - 1, heads).
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph/op.h"

namespace earbit {

class PositionBias {
 public:
  static constexpr size_t kGate = 3;
  static constexpr size_t kBias = 4;

  // The first three inputs, or those before a gate and a bias, if there are five.
  static std::vector<Type> operands(const std::vector<Type>& inputs) {
    const size_t n = inputs.size() == kBias + 1 ? kGate : inputs.size();
    return {inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(n)};
  }

  // Throws std::invalid_argument for a gate or bias that does not fit, and for one in a window.
  PositionBias(const std::vector<Type>& inputs, int heads, int radius)
      : exists_(inputs.size() > kGate) {
    if (!exists_) return;
    if (radius >= 0) throw std::invalid_argument("a position bias needs radius=-1, all frames");
    for (size_t i = kGate; i <= kBias; ++i) {
      if (inputs[i].kind != Kind::floats || inputs[i].cols != heads) {
        throw std::invalid_argument(
            "gate and position bias must be floats with a column for each "
            "of " +
            std::to_string(heads) + " heads");
      }
    }
  }

  // The bias of one head by distance; empty without a bias.
  std::vector<float> of_head(std::span<const View> inputs, int h) const {
    if (!exists_) return {};
    const View& bias = inputs[kBias];
    std::vector<float> column(bias.rows.size());
    for (int64_t i = 0; i < bias.rows.end; ++i) column[i] = bias.row(i)[h];
    return column;
  }

  // Adds the bias to the n scores of query i.
  void add(std::span<const View> inputs, const std::vector<float>& of_head, int h, int64_t i,
           float* scores, int64_t n) const {
    if (!exists_) return;
    const float gate = inputs[kGate].row(i)[h];
    const float* bias = of_head.data() + (n - 1 - i);
    for (int64_t j = 0; j < n; ++j) scores[j] += gate * bias[j];
  }

 private:
  bool exists_;
};

}  // namespace earbit
