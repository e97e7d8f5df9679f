// Transposes bit matrices from channel order to time order.
#pragma once

#include <algorithm>
#include <vector>

#include "bits/layout.h"

namespace earbit {

// Transposes 64 x 64 bits in place: bit j of word i moves to bit i of word j.
inline void transpose_square(uint64_t* square) {
  // Swaps off-diagonal quadrants of 64 x 64, then of 32 x 32 blocks, and so on.
  uint64_t mask = 0x00000000ffffffffu;
  for (int half = kWordBits / 2; half > 0; half /= 2, mask ^= mask << half) {
    for (int i = 0; i < kWordBits; ++i) {
      if (i & half) continue;
      const uint64_t moved = ((square[i] >> half) ^ square[i + half]) & mask;
      square[i] ^= moved << half;
      square[i + half] ^= moved;
    }
  }
}

// Rows [64 block, 64 block + 64) of bits (n_rows, words_for(n_cols)), transposed: bit i of
// out[j * stride] is column j of row 64 block + i, and 0 where there is no such row.
inline void transpose_rows(const uint64_t* bits, int64_t n_rows, int n_cols, int64_t block,
                           uint64_t* out, int64_t stride) {
  const int64_t words = words_for(n_cols);
  const int64_t first = block * kWordBits;
  const auto n = static_cast<int>(std::min<int64_t>(kWordBits, n_rows - first));
  for (int64_t w = 0; w < words; ++w) {
    uint64_t square[kWordBits] = {};
    for (int i = 0; i < n; ++i) square[i] = bits[(first + i) * words + w];
    transpose_square(square);
    const auto n_here = static_cast<int>(std::min<int64_t>(kWordBits, n_cols - w * kWordBits));
    for (int j = 0; j < n_here; ++j) out[(w * kWordBits + j) * stride] = square[j];
  }
}

// All of bits (n_rows, words_for(n_cols)), transposed: (n_cols, words_for(n_rows)).
inline std::vector<uint64_t> transposed(const uint64_t* bits, int64_t n_rows, int n_cols) {
  const int64_t n_words = words_for(n_rows);
  std::vector<uint64_t> result(static_cast<size_t>(n_cols * n_words));
  for (int64_t block = 0; block < n_words; ++block) {
    transpose_rows(bits, n_rows, n_cols, block, result.data() + block, n_words);
  }
  return result;
}

}  // namespace earbit
