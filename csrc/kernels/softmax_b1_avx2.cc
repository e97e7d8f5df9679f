// softmax_b1 with counts in bytes: 32 keys per vector, population counts from tables of four bits.
#include <immintrin.h>

#include <algorithm>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

__m256i load(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

void store(uint8_t* to, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }

// One bits of every byte.
__m256i ones_of_bytes(__m256i x) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  return _mm256_add_epi8(
      _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

// Counts of the words that contain [from, to), kHidden outside of the range; returns the least.
uint8_t count_keys(const uint64_t* q, const uint8_t* keys, int n_words, int64_t from, int64_t to,
                   uint8_t* counts) {
  const int64_t first = first_of(from);
  const int64_t last = last_of(to);
  const int n_bytes = 8 * n_words;
  for (int64_t j = first; j < last; j += kKeyBlock) {
    const uint8_t* block = keys + j * n_bytes;
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    for (int b = 0; b < n_bytes; ++b, block += kKeyBlock) {
      const __m256i byte = _mm256_set1_epi8(static_cast<char>(q[b / 8] >> (b % 8 * 8)));
      low = _mm256_add_epi8(low, ones_of_bytes(_mm256_xor_si256(byte, load(block))));
      high = _mm256_add_epi8(high, ones_of_bytes(_mm256_xor_si256(byte, load(block + 32))));
    }
    store(counts + j, low);
    store(counts + j + 32, high);
  }
  for (int64_t j = first; j < from; ++j) counts[j] = kHidden;
  for (int64_t j = to; j < last; ++j) counts[j] = kHidden;
  __m256i lowest = _mm256_set1_epi8(-1);
  for (int64_t j = first; j < last; j += 32) lowest = _mm256_min_epu8(lowest, load(counts + j));
  return least_of(lowest);
}

// Sum of the weights of n counts, in four independent sums.
uint64_t total_of_weights(const uint32_t* weights, const uint8_t* counts, int64_t n) {
  uint64_t sums[4] = {};
  for (int64_t j = 0; j < n; j += 4) {
    for (int s = 0; s < 4; ++s) sums[s] += weights[counts[j + s]];
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
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
  auto* counts = static_cast<uint8_t*>(room);
  for (int i = 0; i < queries.n; ++i) {
    const int64_t first = first_of(queries.from[i]);
    const int64_t last = last_of(queries.to[i]);
    const int32_t least = count_keys(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys,
                                     n_words, queries.from[i], queries.to[i], counts);
    // Indexed by count instead of by distance from the least count, which saves subtractions.
    uint32_t weights[kHidden + 1] = {};
    for (int k = 0; k < table.size && least + k < kHidden; ++k) weights[least + k] = table.fixed[k];
    const uint64_t total = total_of_weights(weights, counts + first, last - first);
    const int32_t end = std::min(least + n_above(table, total), kHidden);
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      const uint64_t word = below(counts + j, end) | below(counts + j + 32, end) << 32;
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += static_cast<int32_t>(_mm_popcnt_u64(word));
    }
  }
}

}  // namespace earbit
