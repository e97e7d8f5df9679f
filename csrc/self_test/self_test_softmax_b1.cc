#include <algorithm>
#include <cmath>
#include <random>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"
#include "self_test/self_test.h"

namespace earbit {
namespace {

constexpr int kQueries = 5;

// Whether the bits of one query are those of probabilities in double.
bool are_bits_right(const ExpTable& table, const uint64_t* q, const std::vector<uint64_t>& keys,
                    int n_words, int64_t from, int64_t to, const uint64_t* bits, int32_t ones) {
  std::vector<int> distance(to);
  int least = n_words * kWordBits;
  for (int64_t j = from; j < to; ++j) {
    for (int w = 0; w < n_words; ++w) distance[j] += popcount(q[w] ^ keys[j * n_words + w]);
    least = std::min(least, distance[j]);
  }
  const auto weight = [&](int64_t j) {
    const int k = distance[j] - least;
    return k < table.size ? double{table.exp[k]} : 0.0;
  };
  double sum = 0;
  for (int64_t j = from; j < to; ++j) sum += weight(j);
  for (int64_t j = from / kWordBits * kWordBits; j < words_for(to) * kWordBits; ++j) {
    const bool bit = bits[j / kWordBits] >> (j % kWordBits) & 1;
    ones -= bit;
    const double p = j < from || j >= to ? 0.0 : weight(j) / sum;
    // Close to the limit, rounding decides.
    if (std::abs(p / table.half - 1) > 1e-5 && bit != (p > table.half)) return false;
  }
  return ones == 0;
}

// Queries of `n_words` words with different ranges of keys and with short and long tables, against
// probabilities in double precision and against the bits of the scalar kernel.
bool is_right(const SoftmaxB1Kernel& kernel, int n_words, int n_keys, int table_size,
              std::mt19937_64& random) {
  std::vector<uint64_t> q(static_cast<size_t>(kQueries) * n_words);
  std::vector<uint64_t> keys(static_cast<size_t>(n_keys) * n_words);
  for (uint64_t& word : q) word = random();
  for (uint64_t& word : keys) word = random();
  // A key close to the first query, and its complement, which has the largest distance.
  for (int w = 0; w < n_words; ++w) {
    keys[static_cast<size_t>(n_keys / 2) * n_words + w] = q[w] ^ (w == 0 ? 0x11 : 0);
    keys[w] = n_keys > 2 ? ~q[w] : keys[w];
  }
  const KeysB1 laid_out(keys.data(), n_keys, n_words);
  std::vector<float> exp(table_size);
  for (int k = 0; k < table_size; ++k) exp[k] = std::exp(-0.11f * static_cast<float>(k));
  const ExpWeights weights(exp);
  const ExpTable table = weights.table(0.9f / static_cast<float>(n_keys));
  QueriesB1 queries{q.data(), kQueries, n_words, {}, {}};
  for (int i = 0; i < kQueries; ++i) {
    queries.from[i] = i == 0 ? 0 : static_cast<int64_t>(random() % n_keys);
    queries.to[i] =
        queries.from[i] + 1 + static_cast<int64_t>(random() % (n_keys - queries.from[i]));
  }
  queries.to[0] = n_keys;

  const int64_t n_out = words_for(n_keys);
  std::vector<uint16_t> counts(kQueries * n_out * kWordBits);
  std::vector<uint64_t> bits(kQueries * n_out, 0x5555);
  std::vector<uint64_t> same_bits(bits);
  int32_t ones[kQueries];
  int32_t same_ones[kQueries];
  kernel.run(table, queries, laid_out.block(0), counts.data(), bits.data(), n_out, ones);
  softmax_b1_kernel(Isa::scalar)
      .run(table, queries, laid_out.block(0), counts.data(), same_bits.data(), n_out, same_ones);
  if (bits != same_bits || !std::equal(ones, ones + kQueries, same_ones)) return false;
  for (int i = 0; i < kQueries; ++i) {
    if (!are_bits_right(table, q.data() + static_cast<ptrdiff_t>(i) * n_words, keys, n_words,
                        queries.from[i], queries.to[i], bits.data() + i * n_out, ones[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<SelfTest> self_test_softmax_b1() {
  // NEON adds its sums of 16 bits to the total after 2,048 keys.
  const int kKeys[] = {1, 31, 32, 33, 63, 64, 65, 127, 200, 500, 2100};
  // Up to 127 weights are in registers of AVX-512, and more in memory.
  const int kTables[] = {1, 20, 64, 65, 127, 128, 129};
  std::mt19937_64 random(3);
  std::vector<SelfTest> tests;
  for (const SoftmaxB1Kernel& kernel : softmax_b1_kernels()) {
    if (!is_available(kernel.isa)) continue;
    tests.push_back({kernel.name, true, std::to_string(std::size(kKeys)) + " lengths"});
    for (int n_keys : kKeys) {
      for (int table_size : kTables) {
        for (int n_words : {1, 2, 3, 4}) {
          if (is_right(kernel, n_words, n_keys, table_size, random)) continue;
          tests.back() = {kernel.name, false, "wrong at " + std::to_string(n_keys) + " keys"};
        }
      }
    }
  }
  return tests;
}

}  // namespace earbit
