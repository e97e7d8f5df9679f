// Bits (rows, columns) to bits (columns, rows).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bits/layout.h"

namespace earbit {

// Bit j of word i becomes bit i of word j: squares of half the size change places across the
// diagonal, then those of a quarter, and so on.
inline void transpose_square(uint64_t* words) {
  uint64_t low = 0x00000000ffffffffu;
  for (int half = kWordBits / 2; half > 0; half /= 2, low ^= low << half) {
    for (int i = 0; i < kWordBits; i = ((i | half) + 1) & ~half) {
      const uint64_t moved = ((words[i] >> half) ^ words[i | half]) & low;
      words[i] ^= moved << half;
      words[i | half] ^= moved;
    }
  }
}

// Rows of `words` words to n_cols rows of words_for(n_rows) words.
inline std::vector<uint64_t> transposed(const uint64_t* bits, int64_t n_rows, int words,
                                        int n_cols) {
  const int64_t row_words = words_for(n_rows);
  std::vector<uint64_t> turned(static_cast<size_t>(n_cols) * row_words);
  uint64_t square[kWordBits];
  for (int64_t i = 0; i < n_rows; i += kWordBits) {
    const int64_t n = std::min<int64_t>(kWordBits, n_rows - i);
    for (int w = 0; w < words; ++w) {
      for (int64_t r = 0; r < n; ++r) square[r] = bits[(i + r) * words + w];
      std::fill(square + n, square + kWordBits, uint64_t{0});
      transpose_square(square);
      const int first = w * kWordBits;
      for (int j = 0; j < std::min(kWordBits, n_cols - first); ++j) {
        turned[(first + j) * row_words + i / kWordBits] = square[j];
      }
    }
  }
  return turned;
}

}  // namespace earbit
