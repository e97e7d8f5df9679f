// Reader of packed weights of 1, 2, 4 or 8 bits, for all ops that use them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bits/code_set.h"
#include "graph/attributes.h"

namespace earbit {

// Reads weights (n_out, n_k): codes of `weight_bits`, 8 / weight_bits per byte; every output starts
// at a byte.  Throws std::invalid_argument for other numbers of bits, and if the sum of a window of
// codes of the set `in` can exceed int32.
inline std::vector<int8_t> weight_codes(Attributes& attributes, const CodeSet& in, int n_out,
                                        int n_k) {
  const CodeSet set{attributes.integer("weight_bits", 1, kMaxCodeBits), false};
  if (kMaxCodeBits % set.bits != 0) {
    throw std::invalid_argument("weight_bits=" + std::to_string(set.bits) +
                                "; allowed are 1, 2, 4 and 8");
  }
  const int64_t largest = int64_t{in.step()} * in.largest() * set.limit();
  const int64_t most = INT32_MAX / largest;
  if (n_k > most) {
    throw std::invalid_argument(
        "a window of " + std::to_string(n_k) + " elements, whose sum can exceed 32 bits; with " +
        std::to_string(in.bits) + "-bit inputs and " + std::to_string(set.bits) +
        "-bit weights at most " + std::to_string(most) + " are allowed");
  }
  const int per_byte = kMaxCodeBits / set.bits;
  const int64_t n_bytes = (int64_t{n_k} + per_byte - 1) / per_byte;
  const Elements<uint8_t> packed = attributes.u8("weight", {n_out, n_bytes});
  std::vector<int8_t> weight;
  weight.reserve(static_cast<size_t>(n_out) * n_k);
  for (int j = 0; j < n_out; ++j) {
    for (int k = 0; k < n_k; ++k) {
      const int byte = packed[static_cast<size_t>(j) * n_bytes + k / per_byte];
      const int u = byte >> (k % per_byte * set.bits) & set.largest();
      weight.push_back(static_cast<int8_t>(set.value(u)));
    }
  }
  return weight;
}

}  // namespace earbit
