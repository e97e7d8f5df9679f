// Checksum of the data of a tensor, which detects damaged files: docs/format.md.
//
// It detects accidental changes, not deliberate ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace earbit {

// Checksum of n words; the last word is padded with zeros:
//   x = w_i + (i + 1) 0x9e3779b97f4a7c15;  twice x = (x ^ x >> 32) 0xd6e8feb86659fd93
//   the sum of all x ^ x >> 32
// modulo 2^64.  Every step is invertible, so a change within one word changes the sum.
uint64_t checksum_of(const uint64_t* words, size_t n);

// The checksum as text in files: 16 hexadecimal digits.
std::string checksum_text(uint64_t checksum);

}  // namespace earbit
