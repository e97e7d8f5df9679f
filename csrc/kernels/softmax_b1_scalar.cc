// bits[j] = exp(-2 scale popcount(q xor k[j])) / sum over j > half.  The reference.
#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

// Counts of the words in which [from, to) lie; returns the least of [from, to).
uint16_t count_keys(const uint64_t* q, const uint64_t* keys, int n_words, int64_t from, int64_t to,
                    uint16_t* counts) {
  const int64_t first = first_of(from);
  const int64_t last = last_of(to);
  for (int64_t j = first; j < last; j += kKeyBlock) {
    const uint64_t* block = keys + j * n_words;
    for (int place = 0; place < kKeyBlock; ++place) {
      int32_t count = 0;
      for (int w = 0; w < n_words; ++w) count += popcount(q[w] ^ block[w * kKeyBlock + place]);
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
float total_of_shares(const ShareTable& table, const uint16_t* counts, int64_t n, int32_t least) {
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

}  // namespace

void softmax_b1_scalar(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                       uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  for (int i = 0; i < queries.n; ++i) {
    const int64_t first = first_of(queries.from[i]);
    const int64_t last = last_of(queries.to[i]);
    const int32_t least = count_keys(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys,
                                     n_words, queries.from[i], queries.to[i], counts);
    const float total = total_of_shares(table, counts + first, last - first, least);
    const int32_t limit = greatest_count(least, n_above(table, table.half * total));
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      uint64_t word = 0;
      for (int k = 0; k < kWordBits; ++k) word |= uint64_t{counts[j + k] <= limit} << k;
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += popcount(word);
    }
  }
}

}  // namespace earbit
