// Check of packed 1-bit weights, for all ops that read them.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "bits/layout.h"

namespace earbit {

// Throws std::invalid_argument if a tap has bits beyond n_channels, which would be counted.
inline void check_tails(std::span<const uint64_t> weight, int n_channels) {
  const int tail = n_channels % kWordBits;
  if (tail == 0) return;
  const auto words = static_cast<size_t>(words_for(n_channels));
  for (size_t i = words - 1; i < weight.size(); i += words) {
    if (weight[i] >> tail != 0) {
      throw std::invalid_argument("weight has bits set beyond its " + std::to_string(n_channels) +
                                  " channels");
    }
  }
}

}  // namespace earbit
