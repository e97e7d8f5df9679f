// Packs comparisons with thresholds into bits, for all ops with binary output.
#pragma once

#include <algorithm>

#include "graph/view.h"

namespace earbit {

// Writes row `row` of a binary y: x >= threshold for every column of all groups.
template <typename T>
void pack_row(uint64_t (*at_least)(const T*, const T*, int), const T* x, const T* threshold,
              int64_t row, const View& y) {
  const int n = y.type.bits_per_group;
  for (int g = 0; g < y.type.groups; ++g) {
    uint64_t* out = y.bits_row(g, row);
    for (int j = 0; j < n; j += kWordBits) {
      out[j / kWordBits] =
          at_least(x + g * n + j, threshold + g * n + j, std::min(kWordBits, n - j));
    }
  }
}

}  // namespace earbit
