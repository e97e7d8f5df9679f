// Codes as bit planes: plane p holds bit p of every code, in the layout of bits/layout.h.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bits/layout.h"

namespace earbit {

// Bit `plane` of n <= 64 codes, code i at bit i.
inline uint64_t plane_word(const uint8_t* codes, int n, int plane) {
  uint64_t word = 0;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t eight = 0;
    for (int b = 0; b < 8; ++b) eight |= static_cast<uint64_t>(codes[i + b]) << (8 * b);
    // The product moves bit 8 b to bit 56 + b; no other bits reach the top byte.
    const uint64_t bits = (eight >> plane) & 0x0101010101010101u;
    word |= ((bits * 0x0102040810204080u) >> 56) << i;
  }
  for (; i < n; ++i) word |= static_cast<uint64_t>((codes[i] >> plane) & 1) << i;
  return word;
}

// Bit `plane` of n codes as words_for(n) words.
inline void write_plane(const uint8_t* codes, int n, int plane, uint64_t* words) {
  for (int j = 0; j < n; j += kWordBits) {
    words[j / kWordBits] = plane_word(codes + j, std::min(kWordBits, n - j), plane);
  }
}

}  // namespace earbit
