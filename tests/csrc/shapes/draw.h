// What a random shape and its numbers are drawn from: the same numbers on every machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <vector>

#include "bits/layout.h"

namespace shapes {

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  // A number below n > 0.
  int below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  bool one_in(int n) { return below(n) == 0; }

  // A size from `least` to `most`: half of the time one next to the border of a word or of a tile,
  // or a small one, else any, the smaller the likelier.
  int size(int least, int most) {
    constexpr int kBorders[] = {0,   1,   2,   3,   4,   5,   6,   7,   8,  9,  11, 12,
                                13,  15,  16,  17,  23,  24,  25,  31,  32, 33, 47, 48,
                                49,  61,  63,  64,  65,  67,  95,  96,  97, 97, 99, 100,
                                127, 128, 129, 191, 192, 193, 255, 256, 257};
    if (most <= least) return least;
    if (one_in(2)) {
      const int border = kBorders[below(static_cast<int>(std::size(kBorders)))];
      if (border >= least && border <= most) return border;
    }
    return least + below(1 + below(most - least + 1));
  }

  // Words of one density: none, few, half, most or all of their bits.
  std::vector<uint64_t> words(size_t n) {
    const int density = below(8);
    std::vector<uint64_t> words(n);
    for (uint64_t& word : words) {
      if (density == 0) word = 0;
      if (density == 1) word = ~uint64_t{0};
      if (density == 2) word = random_() & random_() & random_() & random_();
      if (density == 3) word = random_() | random_() | random_() | random_();
      if (density > 3) word = random_();
    }
    return words;
  }

  // n numbers from `least` to `most`: any, or nothing but the two of them, or but one.
  template <typename T>
  std::vector<T> numbers(size_t n, int least, int most) {
    const int kind = below(8);
    std::vector<T> numbers(n);
    for (T& number : numbers) {
      int value = least + below(most - least + 1);
      if (kind == 0) value = least;
      if (kind == 1) value = most;
      if (kind == 2) value = one_in(2) ? least : most;
      number = static_cast<T>(value);
    }
    return numbers;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace shapes
