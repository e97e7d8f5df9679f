#include "file/checksum.h"

namespace earbit {

uint64_t checksum_of(const uint64_t* words, size_t n) {
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  constexpr uint64_t kFactor = 0xd6e8feb86659fd93;
  uint64_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    uint64_t x = words[i] + (i + 1) * kStep;
    x = (x ^ x >> 32) * kFactor;
    x = (x ^ x >> 32) * kFactor;
    sum += x ^ x >> 32;
  }
  return sum;
}

std::string checksum_text(uint64_t checksum) {
  std::string text(16, '0');
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] = "0123456789abcdef"[checksum >> (60 - 4 * i) & 15];
  }
  return text;
}

}  // namespace earbit
