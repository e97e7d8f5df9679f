// Splits a row of bits into groups that start at word boundaries.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph/view.h"

namespace earbit {

// Writes row `row` of a binary y from its groups * bits_per_group columns, contiguous in `bits`.
inline void into_groups(const uint64_t* bits, int64_t row, const View& y) {
  const int n = y.type.bits_per_group;
  for (int g = 0; g < y.type.groups; ++g) {
    uint64_t* out = y.bits_row(g, row);
    for (int w = 0; w < y.type.words(); ++w) {
      const int64_t from = static_cast<int64_t>(g) * n + w * kWordBits;
      const int n_bits = std::min(kWordBits, n - w * kWordBits);
      const auto at = static_cast<int>(from % kWordBits);
      uint64_t word = bits[from / kWordBits] >> at;
      if (at + n_bits > kWordBits) word |= bits[from / kWordBits + 1] << (kWordBits - at);
      if (n_bits < kWordBits) word &= (uint64_t{1} << n_bits) - 1;
      out[w] = word;
    }
  }
}

}  // namespace earbit
