// Definition of the memory layout of packed bits.
//
// Element i of a row is bit (i % 64) of 64-bit word (i / 64), counted from the least significant.
// Bit 1 is the upper value of a set: +a of {-a, +a}, a of {0, a}.  Bits beyond the length of a row
// are 0 in BOTH operands of a product, so words need no masks:
//   signed x signed:  sum = n - 2 * popcount(a xor w)
//   {0, 1} x signed:  sum = 2 * popcount(a and w) - popcount(a)
#pragma once

#include <cstddef>
#include <cstdint>

namespace earbit {

constexpr int kWordBits = 64;

constexpr int64_t words_for(int64_t n_bits) { return (n_bits + kWordBits - 1) / kWordBits; }

// Number of one bits, in plain arithmetic that every compiler can vectorise.
inline int32_t popcount(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int32_t>((x * 0x0101010101010101u) >> 56);
}

}  // namespace earbit
