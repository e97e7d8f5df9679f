// Transposes matrices of bits and of bytes, from channel order to time order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "bits/layout.h"

namespace earbit {

// Transposes 64 x 64 bits in place: bit j of word i moves to bit i of word j.
inline void transpose_square(uint64_t* square) {
  // Swaps off-diagonal quadrants of 64 x 64, then of 32 x 32 blocks, and so on.
  uint64_t mask = 0x00000000ffffffffu;
  for (int half = kWordBits / 2; half > 0; half /= 2, mask ^= mask << half) {
    for (int first = 0; first < kWordBits; first += 2 * half) {
      for (int i = first; i < first + half; ++i) {
        const uint64_t moved = ((square[i] >> half) ^ square[i + half]) & mask;
        square[i] ^= moved << half;
        square[i + half] ^= moved;
      }
    }
  }
}

// Transposes bytes: to[j * to_stride + i] = from[i * from_stride + j].
inline void transpose_bytes(const uint8_t* from, ptrdiff_t from_stride, int n_rows, int n_cols,
                            uint8_t* to, ptrdiff_t to_stride) {
  constexpr int kSide = 8;  // of a square, whose rows are words
  for (int i = 0; i < n_rows; i += kSide) {
    for (int j = 0; j < n_cols; j += kSide) {
      const int rows = std::min(kSide, n_rows - i);
      const int cols = std::min(kSide, n_cols - j);
      uint64_t square[kSide] = {};
      for (int r = 0; r < rows; ++r) {
        const uint8_t* row = from + (i + r) * from_stride + j;
        std::memcpy(square + r, row, cols == kSide ? kSide : static_cast<size_t>(cols));
      }
      uint64_t mask = 0x00000000ffffffffu;
      for (int half = kSide / 2; half > 0; half /= 2, mask ^= mask << (8 * half)) {
        for (int r = 0; r < kSide; ++r) {
          if (r & half) continue;
          const uint64_t moved = ((square[r] >> (8 * half)) ^ square[r + half]) & mask;
          square[r] ^= moved << (8 * half);
          square[r + half] ^= moved;
        }
      }
      for (int c = 0; c < cols; ++c) {
        uint8_t* out = to + (j + c) * to_stride + i;
        std::memcpy(out, square + c, rows == kSide ? kSide : static_cast<size_t>(rows));
      }
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
