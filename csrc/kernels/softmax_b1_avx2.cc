// softmax_b1 with 16-bit counts: 16 keys to a vector, population counts by tables of four bits.
#include <immintrin.h>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

__m256i* vector_at(uint16_t* counts) { return reinterpret_cast<__m256i*>(counts); }

// One bits of every byte.
__m256i ones_of_bytes(__m256i x) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  return _mm256_add_epi8(
      _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

// Counts of half a block, 16 keys in order; block: at its first place of this half.
__m256i counts_of(const uint64_t* q, const uint64_t* block, int n_words) {
  __m256i merged = _mm256_setzero_si256();
  for (int s = 3; s >= 0; --s) {
    __m256i count = _mm256_setzero_si256();
    for (int w = 0; w < n_words; ++w) {
      const auto* key = reinterpret_cast<const __m256i*>(block + w * kKeyBlock + 8 * s);
      const __m256i word = _mm256_set1_epi64x(static_cast<int64_t>(q[w]));
      const __m256i ones = ones_of_bytes(_mm256_xor_si256(word, _mm256_loadu_si256(key)));
      count = _mm256_add_epi64(count, _mm256_sad_epu8(ones, _mm256_setzero_si256()));
    }
    merged = _mm256_or_si256(_mm256_slli_epi64(merged, 16), count);
  }
  return merged;
}

// Counts of the words in which [from, to) lie; returns the least of [from, to).
uint16_t count_keys(const uint64_t* q, const uint64_t* keys, int n_words, int64_t from, int64_t to,
                    uint16_t* counts) {
  const int64_t first = first_of(from);
  const int64_t last = last_of(to);
  for (int64_t j = first; j < last; j += kKeyBlock) {
    const uint64_t* block = keys + j * n_words;
    _mm256_storeu_si256(vector_at(counts + j), counts_of(q, block, n_words));
    _mm256_storeu_si256(vector_at(counts + j + 16), counts_of(q, block + 4, n_words));
  }
  for (int64_t j = first; j < from; ++j) counts[j] = kHiddenCount;
  for (int64_t j = to; j < last; ++j) counts[j] = kHiddenCount;
  __m256i lowest = _mm256_set1_epi16(-1);
  for (int64_t j = first; j < last; j += 16) {
    lowest = _mm256_min_epu16(lowest, _mm256_loadu_si256(vector_at(counts + j)));
  }
  const __m128i half =
      _mm_min_epu16(_mm256_castsi256_si128(lowest), _mm256_extracti128_si256(lowest, 1));
  return static_cast<uint16_t>(_mm_extract_epi16(_mm_minpos_epu16(half), 0));
}

__m256 shares_of(const float* table, const uint16_t* counts) {
  return _mm256_setr_ps(table[counts[0]], table[counts[1]], table[counts[2]], table[counts[3]],
                        table[counts[4]], table[counts[5]], table[counts[6]], table[counts[7]]);
}

// The sum of the shares of n counts, which are limited to what the table has.  One lane for every
// place of a block, added pair by pair.
float total_of_shares(const ShareTable& table, uint16_t* counts, int64_t n, int32_t least) {
  const int32_t most = least + table.size;
  const __m256i beyond = _mm256_set1_epi16(
      static_cast<int16_t>(most < kHiddenCount ? most : static_cast<int32_t>(kHiddenCount)));
  __m256 sums[4] = {};
  for (int64_t j = 0; j < n; j += kKeyBlock) {
    for (int half = 0; half < 2; ++half) {
      __m256i* some = vector_at(counts + j + 16 * half);
      _mm256_storeu_si256(some, _mm256_min_epu16(_mm256_loadu_si256(some), beyond));
    }
    for (int v = 0; v < 4; ++v) {
      sums[v] = _mm256_add_ps(sums[v], shares_of(table.exp - least, counts + j + 8 * v));
    }
  }
  const __m256 half =
      _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// Bits of 32 counts that are at most `limit`.
uint64_t at_most(uint16_t* counts, __m256i limit) {
  __m256i is_below[2];
  for (int half = 0; half < 2; ++half) {
    const __m256i some = _mm256_loadu_si256(vector_at(counts + 16 * half));
    is_below[half] = _mm256_cmpeq_epi16(_mm256_min_epu16(some, limit), some);
  }
  // Packed within halves of vectors; the quarters change places.
  const __m256i bytes =
      _mm256_permute4x64_epi64(_mm256_packs_epi16(is_below[0], is_below[1]), 0xd8);
  return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
}

}  // namespace

void softmax_b1_avx2(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                     uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  for (int i = 0; i < queries.n; ++i) {
    const int64_t first = first_of(queries.from[i]);
    const int64_t last = last_of(queries.to[i]);
    const int32_t least = count_keys(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys,
                                     n_words, queries.from[i], queries.to[i], counts);
    const float total = total_of_shares(table, counts + first, last - first, least);
    const int32_t limit = greatest_count(least, n_above(table, table.half * total));
    const __m256i most = _mm256_set1_epi16(static_cast<int16_t>(limit));
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      // Below the least count there may be no number.
      const uint64_t word =
          limit < 0 ? 0 : at_most(counts + j, most) | at_most(counts + j + kKeyBlock, most) << 32;
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += static_cast<int32_t>(_mm_popcnt_u64(word));
    }
  }
}

}  // namespace earbit
