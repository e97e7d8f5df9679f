// Definition of the values of quantized numbers of 1 to 8 bits.
//
// A code in memory is u, from 0 to 2^bits - 1.  Its value is low + step * u, times a scale that is
// stored separately.  Training uses the same sets (src/earbit/quantize/codes.py):
//   unsigned        0 to 2^bits - 1
//   signed          -2^(bits - 1) to 2^(bits - 1) - 1
//   signed, 1 bit   -1 and 1
#pragma once

#include <algorithm>
#include <cstdint>

namespace earbit {

constexpr int kMaxCodeBits = 8;

struct CodeSet {
  int bits = 1;
  bool is_unsigned = true;

  int largest() const { return (1 << bits) - 1; }
  int low() const { return is_unsigned ? 0 : -(1 << (bits - 1)); }
  int step() const { return bits == 1 && !is_unsigned ? 2 : 1; }
  int value(int u) const { return low() + step() * u; }
  // The code of padding: that of value 0, or of -1 if the set has no 0.
  int padding() const { return bits == 1 ? 0 : -low(); }
  // The largest absolute value.
  int limit() const { return std::max(-low(), value(largest())); }
};

}  // namespace earbit
