// softmax_b1 in plain loops; a file of an instruction set includes them into its own anonymous
// namespace, with the `n_ones(word)` that it has.

#include "kernels/softmax_b1_limit.h"

// Counts of whole blocks [first, last); returns the least of [from, to).
inline uint16_t count_keys(const uint64_t* q, const uint64_t* keys, int n_words, int64_t first,
                           int64_t last, int64_t from, int64_t to, uint16_t* counts) {
  for (int64_t j = first; j < last; j += kKeyBlock) {
    const uint64_t* block = keys + j * n_words;
    for (int place = 0; place < kKeyBlock; ++place) {
      int32_t count = 0;
      for (int w = 0; w < n_words; ++w) count += n_ones(q[w] ^ block[w * kKeyBlock + place]);
      counts[j + place % 8 * 4 + place / 8] = static_cast<uint16_t>(count);
    }
  }
  for (int64_t j = first; j < from; ++j) counts[j] = kHiddenCount;
  for (int64_t j = to; j < last; ++j) counts[j] = kHiddenCount;
  uint16_t least = kHiddenCount;
  for (int64_t j = first; j < last; ++j) least = counts[j] < least ? counts[j] : least;
  return least;
}

// A sum for every place of a block, added pair by pair: the order of the lanes of vectors.
inline float total_of_shares(const ShareTable& table, const uint16_t* counts, int64_t n,
                             int32_t least) {
  float sums[kKeyBlock] = {};
  for (int64_t j = 0; j < n; ++j) {
    const int32_t index = counts[j] - least;
    sums[j % kKeyBlock] += index < table.size ? table.exp[index] : 0.0f;
  }
  for (int half = kKeyBlock / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s) sums[s] += sums[s + half];
  }
  return sums[0];
}

inline void softmax_bits(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                         uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  for (int i = 0; i < queries.n; ++i) {
    const int64_t first = queries.from[i] / kWordBits * kWordBits;
    const int64_t last = words_for(queries.to[i]) * kWordBits;
    const int32_t least =
        count_keys(queries.bits + static_cast<ptrdiff_t>(i) * queries.n_words, keys,
                   queries.n_words, first, last, queries.from[i], queries.to[i], counts);
    const float needed = table.half * total_of_shares(table, counts + first, last - first, least);
    int32_t n_above = 0;
    for (int k = 0; k < table.size; ++k) n_above += table.exp[k] > needed;
    const int32_t limit = greatest_count(least, n_above);
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      uint64_t word = 0;
      for (int k = 0; k < kWordBits; ++k) word |= uint64_t{counts[j + k] <= limit} << k;
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += n_ones(word);
    }
  }
}
