// softmax_b1 with counts in bytes: 32 keys per vector and two queries per look-up.
//
// Weights are looked up too: 16 entries of a table per instruction and byte of a weight, for as
// many sixteens as the counts of a query spread over.
#include <immintrin.h>

#include <algorithm>
#include <utility>

#include "bits/layout.h"
#include "kernels/gemm_b1.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/look_up_avx2.h"
#include "kernels/softmax_b1_shared.h"
#include "kernels/with_rows.h"

// A compile-time constant, because code of this file must not run before AVX2 was detected.
constexpr Tables kXor(BitOp::exclusive_or);

constexpr int kAtOnce = 4;  // queries

void store(uint8_t* to, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }

// Counts of a block of 64 keys with one pair of queries or two, those of query i from i * n_counts
// on.  Sums of vector v of pair p are element 2 p + v of a pack of constants, because they must
// live in registers.
template <int... t>
[[gnu::always_inline]] inline void count_block(std::integer_sequence<int, t...>,
                                               const uint16_t* const* offsets, const uint8_t* block,
                                               int n_words, uint8_t* counts, int64_t n_counts) {
  constexpr int kTiles = sizeof...(t);
  __m256i all[kTiles];
  __m256i high[kTiles];
  ((all[t] = high[t] = _mm256_setzero_si256()), ...);
  for (int w = 0; w < n_words; ++w, block += 8 * kKeyBlock) {
    // Four bits of 32 keys, of byte q / 2.
    const auto quarter = [&](int q, int v) __attribute__((always_inline)) {
      const __m256i bytes = load(block + q / 2 * kKeyBlock + 32 * v);
      return q % 2 == 0 ? _mm256_and_si256(bytes, _mm256_set1_epi8(15)) : high_halves(bytes);
    };
    const auto counts_of = [&](int q, int tile) __attribute__((always_inline)) {
      const __m256i table = table_at(kXor.counts[0], offsets[tile / 2][16 * w + q]);
      return _mm256_shuffle_epi8(table, quarter(q, tile % 2));
    };
    const auto add = [&](int q, auto n) __attribute__((always_inline)) {
      __m256i both[kTiles] = {counts_of(q, t)...};
      if constexpr (n > 1) ((both[t] = _mm256_add_epi8(both[t], counts_of(q + 1, t))), ...);
      if constexpr (n > 2) ((both[t] = _mm256_add_epi8(both[t], counts_of(q + 2, t))), ...);
      ((all[t] = kept(_mm256_add_epi8(all[t], both[t]))), ...);
      ((high[t] = kept(_mm256_add_epi8(high[t], high_halves(both[t])))), ...);
    };
    using Three = std::integral_constant<int, 3>;
    add(0, Three());
    add(3, Three());
    add(6, Three());
    add(9, Three());
    add(12, Three());
    add(15, std::integral_constant<int, 1>());
  }
  ((store(counts + 2 * (t / 2) * n_counts + 32 * (t % 2), low_row(all[t], high[t])),
    store(counts + (2 * (t / 2) + 1) * n_counts + 32 * (t % 2), high[t])),
   ...);
}

// Counts of n <= kAtOnce queries, of an even number of them, for the words that contain [from, to).
void count_keys(const uint64_t* q, int n, const uint8_t* keys, int n_words, int64_t from,
                int64_t to, uint8_t* counts, int64_t n_counts) {
  uint16_t offsets[kAtOnce / 2][kQuarters * kByteWords];
  const uint16_t* const pairs[] = {offsets[0], offsets[1]};
  for (int i = 0; i < n; i += 2) {
    const uint64_t* row = q + static_cast<ptrdiff_t>(i) * n_words;
    pair_rows(row, i + 1 < n ? row + n_words : row, n_words, offsets[i / 2]);
  }
  with_rows<kAtOnce / 2>((n + 1) / 2, [&](auto of_pairs) {
    constexpr auto kTiles = std::make_integer_sequence<int, 2 * of_pairs.size()>();
    for (int64_t j = first_of(from); j < last_of(to); j += kKeyBlock) {
      count_block(kTiles, pairs, keys + j * 8 * n_words, n_words, counts + j, n_counts);
    }
  });
}

// Least and largest of some counts.
struct Spread {
  int32_t least;
  int32_t most;
};

// Those of the keys [from, to); sets counts of other keys in their words to kHidden.
Spread spread_of(uint8_t* counts, int64_t from, int64_t to) {
  const int64_t first = first_of(from);
  const int64_t last = last_of(to);
  for (int64_t j = first; j < from; ++j) counts[j] = kHidden;
  for (int64_t j = to; j < last; ++j) counts[j] = kHidden;
  const __m256i one = _mm256_set1_epi8(1);
  __m256i lowest = _mm256_set1_epi8(-1);
  __m256i lowest_rest = lowest;  // of 254 - count, 255 for hidden ones
  for (int64_t j = first; j < last; j += 32) {
    const __m256i some = load(counts + j);
    lowest = _mm256_min_epu8(lowest, some);
    const __m256i rest = _mm256_xor_si256(_mm256_add_epi8(some, one), _mm256_set1_epi8(-1));
    lowest_rest = _mm256_min_epu8(lowest_rest, rest);
  }
  return {least_of(lowest), 254 - least_of(lowest_rest)};
}

// Sum of the weights of n counts, a multiple of 32, that spread over kSixteens * 16 values.
template <int kSixteens>
uint64_t total_of(const ExpTable& table, const uint8_t* counts, int64_t n, int32_t least) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i sums[4] = {zero, zero, zero, zero};
  for (int64_t j = 0; j < n; j += 32) {
    const __m256i distance =
        _mm256_sub_epi8(load(counts + j), _mm256_set1_epi8(static_cast<char>(least)));
    __m256i bytes[4];
#pragma GCC unroll 8
    for (int s = 0; s < kSixteens; ++s) {
      // Beyond these 16 the highest bit is set, and a look-up gives 0.
      const __m256i index =
          _mm256_adds_epu8(_mm256_sub_epi8(distance, _mm256_set1_epi8(static_cast<char>(16 * s))),
                           _mm256_set1_epi8(0x70));
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) {
        const __m256i weights = _mm256_broadcastsi128_si256(_mm_loadu_si128(
            reinterpret_cast<const __m128i*>(table.bytes + kByteWeights * b + 16 * s)));
        const __m256i found = _mm256_shuffle_epi8(weights, index);
        bytes[b] = s == 0 ? found : _mm256_or_si256(bytes[b], found);
      }
    }
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) {
      sums[b] = _mm256_add_epi64(sums[b], _mm256_sad_epu8(bytes[b], zero));
    }
  }
  __m256i total = sums[3];
  for (int b = 2; b >= 0; --b) total = _mm256_add_epi64(_mm256_slli_epi64(total, 8), sums[b]);
  const __m128i half =
      _mm_add_epi64(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
}

uint64_t total_of_weights(const ExpTable& table, const uint8_t* counts, int64_t n,
                          const Spread& spread) {
  static_assert(kByteWeights == 8 * 16);
  const int32_t n_values = std::min(table.size, spread.most - spread.least + 1);
  uint64_t total = 0;
  // So many sixteens end before kHidden, since no count is above 192.
  const int n_sixteens = (n_values + 15) / 16;
  if (n_sixteens <= 8) {
    with_rows<8>(n_sixteens, [&](auto sixteens) {
      total = total_of<static_cast<int>(sixteens.size())>(table, counts, n, spread.least);
    });
    return total;
  }
  for (int64_t j = 0; j < n; ++j) {
    total += counts[j] == kHidden ? 0 : table.fixed[counts[j] - spread.least];
  }
  return total;
}

// Bits of 32 counts that are below `end`.
uint64_t below(const uint8_t* counts, int32_t end) {
  // No count is below 0.
  const __m256i most = _mm256_set1_epi8(static_cast<char>(end - 1));
  const __m256i some = load(counts);
  const __m256i is_below = _mm256_cmpeq_epi8(_mm256_min_epu8(some, most), some);
  return end > 0 ? static_cast<uint32_t>(_mm256_movemask_epi8(is_below)) : 0;
}

}  // namespace

void softmax_b1_avx2(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys,
                     void* room, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  if (n_words > kByteWords) {
    softmax_b1_scalar(table, queries, keys, room, bits, bits_stride, ones);
    return;
  }
  int64_t n_counts = 0;
  for (int i = 0; i < queries.n; ++i) n_counts = std::max(n_counts, last_of(queries.to[i]));
  for (int i = 0; i < queries.n; i += kAtOnce) {
    const int n = std::min(kAtOnce, queries.n - i);
    count_keys(queries.bits + static_cast<ptrdiff_t>(i) * n_words, n, keys, n_words,
               *std::min_element(queries.from + i, queries.from + i + n),
               *std::max_element(queries.to + i, queries.to + i + n),
               static_cast<uint8_t*>(room) + i * n_counts, n_counts);
  }
  for (int i = 0; i < queries.n; ++i) {
    uint8_t* counts = static_cast<uint8_t*>(room) + i * n_counts;
    const int64_t first = first_of(queries.from[i]);
    const int64_t last = last_of(queries.to[i]);
    const Spread spread = spread_of(counts, queries.from[i], queries.to[i]);
    const uint64_t total = total_of_weights(table, counts + first, last - first, spread);
    const int32_t end = std::min(spread.least + n_above(table, total), kHidden);
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      const uint64_t word = below(counts + j, end) | below(counts + j + 32, end) << 32;
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += static_cast<int32_t>(_mm_popcnt_u64(word));
    }
  }
}

}  // namespace earbit
