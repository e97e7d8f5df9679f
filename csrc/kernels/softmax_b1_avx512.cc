// softmax_b1 with counts in bytes: 64 keys per vector, with a table in registers.
//
// Per 64 keys of one word: 8 xor with memory, 8 vpopcntb, 7 additions and a minimum; then one
// look-up for each of the four bytes of a weight, vpdpbusd to add them and one comparison.
#include <immintrin.h>

#include <algorithm>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

// Whether some keys of the block at j are outside of [from, to).
bool is_border(int64_t j, int64_t from, int64_t to) { return j < from || j + kKeyBlock > to; }

uint8_t least_of(__m512i counts) {
  // Uses masked forms, because GCC 12 reports the plain forms as uses of uninitialized values.
  return least_of(_mm256_min_epu8(_mm512_maskz_extracti64x4_epi64(0xf, counts, 0),
                                  _mm512_maskz_extracti64x4_epi64(0xf, counts, 1)));
}

// The four bytes of up to 128 weights, each in two vectors.
class TableInRegisters {
 public:
  static constexpr int kSize = kByteWeights - 1;  // and one entry for larger distances

  explicit TableInRegisters(const ExpTable& table) {
    for (int b = 0; b < 4; ++b) {
      part_[b][0] = _mm512_loadu_si512(table.bytes + kByteWeights * b);
      part_[b][1] = _mm512_loadu_si512(table.bytes + kByteWeights * b + 64);
    }
  }

  // The sum of the weights of n counts.
  uint64_t total(const uint8_t* counts, int64_t from, int64_t to, uint8_t least) const {
    const __m512i first = _mm512_set1_epi8(static_cast<char>(least));
    const __m512i far = _mm512_set1_epi8(kSize);
    const __m512i ones = _mm512_set1_epi8(1);
    const __m512i zero = _mm512_setzero_si512();
    __m512i sums[4] = {zero, zero, zero, zero};
    for (int64_t j = first_of(from); j < last_of(to); j += kKeyBlock) {
      const __m512i distance = _mm512_subs_epu8(_mm512_loadu_si512(counts + j), first);
      __m512i index = _mm512_min_epu8(distance, far);
      if (is_border(j, from, to)) index = _mm512_mask_blend_epi8(seen_of(j, from, to), far, index);
      for (int b = 0; b < 4; ++b) {
        const __m512i bytes = _mm512_permutex2var_epi8(part_[b][0], index, part_[b][1]);
        sums[b] = _mm512_dpbusd_epi32(sums[b], bytes, ones);
      }
    }
    __m512i total = pairs_of(sums[3]);
    for (int b = 2; b >= 0; --b) {
      total = _mm512_add_epi64(_mm512_maskz_slli_epi64(0xff, total, 8), pairs_of(sums[b]));
    }
    const __m256i half = _mm256_add_epi64(_mm512_maskz_extracti64x4_epi64(0xf, total, 0),
                                          _mm512_maskz_extracti64x4_epi64(0xf, total, 1));
    const __m128i quarter =
        _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return static_cast<uint64_t>(_mm_cvtsi128_si64(quarter) + _mm_extract_epi64(quarter, 1));
  }

 private:
  // Sums of 32 bits, two by two, in 64.
  static __m512i pairs_of(__m512i sums) {
    return _mm512_add_epi64(_mm512_maskz_srli_epi64(0xff, sums, 32),
                            _mm512_maskz_and_epi64(0xff, sums, _mm512_set1_epi64(0xffffffff)));
  }

  __m512i part_[4][2];
};

// The sum of the weights of the counts of [from, to), by a table of any size.
uint64_t total_in_memory(const ExpTable& table, const uint8_t* counts, int64_t from, int64_t to,
                         uint8_t least) {
  uint64_t total = 0;
  for (int64_t j = from; j < to; ++j) total += table.fixed[counts[j] - least];
  return total;
}

// Counts of the words that contain [from, to), kHidden outside of the range; returns the least.
// kWords: number of words of a query, or 0 for any number.
template <int kWords>
uint8_t count_keys(const uint64_t* q, const uint8_t* keys, int n_words, int64_t from, int64_t to,
                   uint8_t* counts) {
  const int n_bytes = 8 * (kWords == 0 ? n_words : kWords);
  const auto byte_of = [&](int b) {
    return _mm512_set1_epi8(static_cast<char>(q[b / 8] >> (b % 8 * 8)));
  };
  const __m512i hidden = _mm512_set1_epi8(static_cast<char>(kHidden));
  __m512i lowest = hidden;
  for (int64_t j = first_of(from); j < last_of(to); j += kKeyBlock) {
    const uint8_t* block = keys + j * n_bytes;
    const auto ones_of = [&](int b) {
      const __m512i key = _mm512_loadu_si512(block + b * kKeyBlock);
      return _mm512_popcnt_epi8(_mm512_xor_si512(byte_of(b), key));
    };
    __m512i count = _mm512_setzero_si512();
    for (int b = 0; b < n_bytes; b += 4) {
      count =
          _mm512_add_epi8(count, _mm512_add_epi8(_mm512_add_epi8(ones_of(b), ones_of(b + 1)),
                                                 _mm512_add_epi8(ones_of(b + 2), ones_of(b + 3))));
    }
    if (is_border(j, from, to)) {
      count = _mm512_mask_blend_epi8(seen_of(j, from, to), hidden, count);
    }
    lowest = _mm512_min_epu8(lowest, count);
    _mm512_storeu_si512(counts + j, count);
  }
  return least_of(lowest);
}

}  // namespace

// Each step runs for all queries, which hides the latency of the minimum and the sum of each.
void softmax_b1_avx512(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys,
                       void* room, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  if (n_words > kByteWords) {
    softmax_b1_scalar(table, queries, keys, room, bits, bits_stride, ones);
    return;
  }
  const int n = queries.n;
  int64_t n_counts = 0;
  for (int i = 0; i < n; ++i) n_counts = std::max(n_counts, last_of(queries.to[i]));
  auto* counts = static_cast<uint8_t*>(room);
  uint8_t least[QueriesB1::kMax];
  const auto count = n_words == 1 ? count_keys<1> : count_keys<0>;
  for (int i = 0; i < n; ++i) {
    least[i] = count(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys, n_words,
                     queries.from[i], queries.to[i], counts + i * n_counts);
  }
  const TableInRegisters in_registers(table);
  uint64_t total[QueriesB1::kMax];
  for (int i = 0; i < n; ++i) {
    total[i] =
        table.size <= TableInRegisters::kSize
            ? in_registers.total(counts + i * n_counts, queries.from[i], queries.to[i], least[i])
            : total_in_memory(table, counts + i * n_counts, queries.from[i], queries.to[i],
                              least[i]);
  }
  for (int i = 0; i < n; ++i) {
    const int32_t end = std::min(least[i] + n_above(table, total[i]), kHidden);
    const __m512i limit = _mm512_set1_epi8(static_cast<char>(end));
    const int64_t first_word = queries.from[i] / kWordBits;
    const int64_t last_word = words_for(queries.to[i]);
    int64_t n_ones = 0;
    for (int64_t w = first_word; w < last_word; ++w) {
      const __m512i some = _mm512_loadu_si512(counts + i * n_counts + w * kKeyBlock);
      const uint64_t word = _mm512_cmplt_epu8_mask(some, limit);
      bits[i * bits_stride + w] = word;
      n_ones += _mm_popcnt_u64(word);
    }
    ones[i] = static_cast<int32_t>(n_ones);
  }
}

}  // namespace earbit
