// depthwise_b1, against one bit at a time, and softmax_b1, against the bits of the scalar kernel
// and probabilities in double.
#include <bit>
#include <cmath>
#include <optional>

#include "kernels/depthwise_b1.h"
#include "kernels/softmax_b1.h"
#include "shapes/families.h"

namespace shapes {
namespace {

using earbit::ExpTable;
using earbit::kWordBits;
using earbit::QueriesB1;
using earbit::words_for;

std::string text(int n) { return std::to_string(n); }

struct Attention;

// What keys are worth to one query, in double.
struct Worth {
  Worth(const Attention& attention, int query);

  std::vector<double> of;  // by key, 0 where the query does not see it
  double sum = 0;
};

// Queries, the keys that they see, and the table of their weights.
struct Attention {
  int n_words;
  int n_keys;
  std::vector<uint64_t> q;
  std::vector<uint64_t> keys;
  std::vector<float> exp;
  std::optional<earbit::ExpWeights> weights_of;
  ExpTable table;
  QueriesB1 queries;

  explicit Attention(Draw& draw) {
    const bool is_wide = draw.one_in(40);  // up to 2^15 bits
    n_words = is_wide ? draw.size(1, 512) : draw.size(1, 5);
    n_keys = is_wide ? draw.size(1, 70) : draw.size(1, draw.one_in(20) ? 3000 : 300);
    const int n = 1 + draw.below(QueriesB1::kMax);
    q = draw.words(static_cast<size_t>(n) * n_words);
    keys = draw.words(static_cast<size_t>(n_keys) * n_words);
    if (draw.one_in(2)) {
      // As near as a key can be to the first query, and as far.
      std::copy_n(q.begin(), n_words, keys.end() - n_words);
      for (int w = 0; w < n_words; ++w) keys[w] = n_keys > 1 ? ~q[w] : q[w];
    }
    // One step down per count: every table of an exp of float32 falls like it.
    const float ratio = draw.one_in(2) ? 0.96f : (draw.one_in(2) ? 0.5f : 0.8f);
    const int longest = n_words * kWordBits + 1;
    const int size = draw.one_in(3) ? longest : draw.size(1, longest);
    for (float weight = 1.0f; static_cast<int>(exp.size()) < size; weight *= ratio) {
      exp.push_back(weight);
    }
    weights_of.emplace(exp);
    table =
        weights_of->table(static_cast<float>(1 + draw.below(16)) / static_cast<float>(4 * n_keys));
    queries = {q.data(), n, n_words, {}, {}};
    for (int i = 0; i < n; ++i) {
      queries.from[i] = draw.one_in(2) ? 0 : draw.below(n_keys);
      queries.to[i] = draw.one_in(2) ? n_keys
                                     : queries.from[i] + 1 +
                                           draw.below(n_keys - static_cast<int>(queries.from[i]));
    }
    if (draw.one_in(2)) {
      // Where the last bit of a sum decides, which shows the order in which it was made.
      const Worth weights(*this, 0);
      const float weight = exp[draw.below(std::min(size, 8))];
      if (weight > 0) table.half = static_cast<float>(weight / weights.sum);
    }
  }
  // Pointers into itself.
  Attention(const Attention&) = delete;
  Attention& operator=(const Attention&) = delete;

  std::string shape() const {
    return text(queries.n) + " queries of " + text(n_words) + " words to " + text(n_keys) +
           " keys, a table of " + text(table.size) + ", above " + std::to_string(table.half);
  }

  int64_t out_words() const { return words_for(n_keys); }
};

struct Bits {
  std::vector<uint64_t> words;
  std::vector<int32_t> ones;
  bool operator==(const Bits&) const = default;
};

Bits bits_of(const earbit::SoftmaxB1Kernel& kernel, const Attention& attention) {
  const earbit::KeysB1 keys(attention.keys.data(), attention.n_keys, attention.n_words);
  const auto n = static_cast<size_t>(attention.queries.n);
  Bits bits{std::vector<uint64_t>(n * attention.out_words(), 0x5555), std::vector<int32_t>(n)};
  std::vector<uint16_t> counts(n * attention.out_words() * kWordBits);
  kernel.run(attention.table, attention.queries, keys.block(0), counts.data(), bits.words.data(),
             attention.out_words(), bits.ones.data());
  return bits;
}

Worth::Worth(const Attention& attention, int query) : of(attention.n_keys) {
  const QueriesB1& queries = attention.queries;
  const int n_words = attention.n_words;
  std::vector<int> distance(attention.n_keys);
  int least = n_words * kWordBits;
  for (int64_t j = queries.from[query]; j < queries.to[query]; ++j) {
    for (int w = 0; w < n_words; ++w) {
      distance[j] +=
          std::popcount(attention.q[query * n_words + w] ^ attention.keys[j * n_words + w]);
    }
    least = std::min(least, distance[j]);
  }
  for (int64_t j = queries.from[query]; j < queries.to[query]; ++j) {
    const int k = distance[j] - least;
    of[j] = k < attention.table.size ? double{attention.exp[k]} : 0.0;
    sum += of[j];
  }
}

// Whether the bits of query i are those of probabilities in double.
bool are_near(const Attention& attention, int i, const Bits& bits) {
  const QueriesB1& queries = attention.queries;
  const Worth weights(attention, i);
  int32_t ones = 0;
  for (int64_t j = queries.from[i] / kWordBits * kWordBits;
       j < words_for(queries.to[i]) * kWordBits; ++j) {
    const uint64_t word = bits.words[i * attention.out_words() + j / kWordBits];
    const bool bit = word >> (j % kWordBits) & 1;
    ones += bit;
    const double p = j < attention.n_keys ? weights.of[j] / weights.sum : 0.0;
    // Next to the limit it is rounding that decides.
    if (std::abs(p / attention.table.half - 1) > 1e-4 && bit != (p > attention.table.half)) {
      return false;
    }
  }
  return ones == bits.ones[i];
}

}  // namespace

void try_depthwise_b1(Draw& draw, Digest& digest) {
  const int n_channels = draw.size(0, 8) * earbit::kDepthwiseLanes;
  const int n_taps = draw.one_in(40) ? draw.size(1, 20000) : draw.size(1, 200);
  const int shift = draw.below(kWordBits);
  const bool is_unsigned = draw.one_in(2);
  const auto n_words = static_cast<size_t>(words_for(n_taps));
  const std::vector<uint64_t> x = draw.words((n_words + 1) * n_channels);
  std::vector<uint64_t> w = draw.words(n_words * n_channels);
  if (n_taps % kWordBits != 0) {
    for (int c = 0; c < n_channels; ++c) {
      w[(n_words - 1) * n_channels + c] &= (uint64_t{1} << (n_taps % kWordBits)) - 1;
    }
  }
  const auto bit = [&](const std::vector<uint64_t>& words, int i, int c) {
    return static_cast<int>(
        words[static_cast<size_t>(i / kWordBits) * n_channels + c] >> (i % kWordBits) & 1);
  };
  std::vector<int32_t> expected(n_channels);
  for (int c = 0; c < n_channels; ++c) {
    for (int i = 0; i < n_taps; ++i) {
      const int value = bit(x, i + shift, c);
      expected[c] += (is_unsigned ? value : 2 * value - 1) * (2 * bit(w, i, c) - 1);
    }
  }
  for (const earbit::DepthwiseB1Kernel& kernel : earbit::depthwise_b1_kernels()) {
    if (!is_available(kernel.isa)) continue;
    std::vector<int32_t> dot(n_channels);
    kernel.run(x.data(), w.data(), n_channels, n_taps, shift, is_unsigned, dot.data());
    if (dot == expected) continue;
    throw Wrong(std::string(kernel.name) + " is wrong for " + text(n_channels) + " channels, " +
                text(n_taps) + (is_unsigned ? " unsigned" : " signed") + " taps from bit " +
                text(shift) + " on");
  }
  digest.add(expected);
}

void try_softmax_b1(Draw& draw, Digest& digest) {
  const Attention attention(draw);
  const Bits expected = bits_of(softmax_b1_kernel(earbit::Isa::scalar), attention);
  for (int i = 0; i < attention.queries.n; ++i) {
    if (are_near(attention, i, expected)) continue;
    throw Wrong("softmax_b1_scalar is wrong for query " + text(i) + " of " + attention.shape());
  }
  for (const earbit::SoftmaxB1Kernel& kernel : earbit::softmax_b1_kernels()) {
    if (!is_available(kernel.isa) || bits_of(kernel, attention) == expected) continue;
    throw Wrong(std::string(kernel.name) + " gives other bits than the scalar kernel for " +
                attention.shape());
  }
  digest.add(expected.words);
  digest.add(expected.ones);
}

}  // namespace shapes
