// Windows of a convolution over time.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "graph/attributes.h"
#include "graph/rows.h"

namespace earbit {

constexpr int64_t kMaxOutputs = int64_t{1} << 20;
constexpr int64_t kMaxElements = int64_t{1} << 24;  // a float32 holds every such count exactly

// Outputs of a product, the rows of its weight; throws std::invalid_argument for too many or none.
inline int outputs_of(const Attributes& attributes) {
  const int64_t n = attributes.rows("weight");
  if (n < 1 || n > kMaxOutputs) {
    throw std::invalid_argument("weight is " +
                                (n < 0 ? "no matrix" : "of " + std::to_string(n) + " rows") +
                                "; allowed are 1 to " + std::to_string(kMaxOutputs) + " rows");
  }
  return static_cast<int>(n);
}

struct Windows {
  int kernel;
  int stride;
  int pad_left;
  int pad_right;

  static Windows read(Attributes& attributes) {
    constexpr int kMax = 1 << 20;
    const int kernel = attributes.integer("kernel", 1, kMax);
    // Windows of padding alone are useless, and padding needs memory.
    return {kernel, attributes.integer("stride", 1, kMax),
            attributes.integer("pad_left", 0, kernel - 1),
            attributes.integer("pad_right", 0, kernel - 1)};
  }

  // Padding frames hold `padding` in every byte.
  Needs needs(unsigned char padding) const {
    Needs needs;
    needs.stride = stride;
    needs.left = pad_left;
    needs.right = kernel - 1 - pad_left;
    needs.is_padded = true;
    needs.pad_right = pad_right;
    needs.padding = padding;
    return needs;
  }

  // First frame of the window of an output, which may be padding.
  int64_t first(int64_t output) const { return output * stride - pad_left; }

  // Elements of a window over `cols` columns; throws std::invalid_argument beyond kMaxElements.
  int elements(int cols) const {
    const int64_t n = static_cast<int64_t>(kernel) * cols;
    if (n > kMaxElements) {
      throw std::invalid_argument("a window of " + std::to_string(n) + " elements; at most " +
                                  std::to_string(kMaxElements) + " are allowed");
    }
    return static_cast<int>(n);
  }
};

}  // namespace earbit
