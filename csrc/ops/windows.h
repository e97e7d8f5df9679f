// Windows over time: how a convolution reads frames.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "graph/attributes.h"

namespace earbit {

struct Windows {
  int kernel;
  int stride;
  int pad_left;
  int pad_right;

  static Windows read(Attributes& attributes) {
    constexpr int kMax = 1 << 20;
    return {attributes.integer("kernel", 1, kMax), attributes.integer("stride", 1, kMax),
            attributes.integer("pad_left", 0, kMax), attributes.integer("pad_right", 0, kMax)};
  }

  bool is_padded() const { return pad_left > 0 || pad_right > 0; }

  // Frames out of `rows` frames; throws std::invalid_argument when there is not even one.
  int64_t count(int64_t rows) const {
    const int64_t padded = rows + pad_left + pad_right;
    if (padded < kernel) {
      throw std::invalid_argument(std::to_string(rows) + " frames are too few for a window of " +
                                  std::to_string(kernel));
    }
    return (padded - kernel) / stride + 1;
  }
};

}  // namespace earbit
