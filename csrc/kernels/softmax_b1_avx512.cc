// softmax_b1 with 16-bit counts: 32 keys to a vector, and a table that lies in registers.
//
// Per 32 keys of one word: 4 xor with memory, 4 vpopcntq, 3 shifts, 2 vpternlog, a minimum and a
// store; then 2 look-ups of 16 keys each, and one comparison.
#include <immintrin.h>

#include <algorithm>

#include "bits/layout.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/softmax_b1_shared.h"

constexpr int kTernaryOr = 0xfe;

// By masks of all lanes: GCC 12 takes the plain forms for uses of something uninitialized.
template <int n_bits>
__m512i shifted(__m512i x) {
  return _mm512_maskz_slli_epi64(0xff, x, n_bits);
}

__m512i widened(__m256i x) { return _mm512_maskz_cvtepu16_epi32(0xffff, x); }

// The counts of a block of keys, in order; kWords: of a query, 0 for any number.
template <int kWords>
__m512i counts_of(const uint64_t* q, const uint64_t* block, int n_words) {
  const auto count_of = [&](int w, int s) {
    const __m512i key = _mm512_loadu_si512(block + w * kKeyBlock + 8 * s);
    const __m512i word = _mm512_set1_epi64(static_cast<int64_t>(q[w]));
    return _mm512_popcnt_epi64(_mm512_xor_si512(word, key));
  };
  __m512i count[4] = {count_of(0, 0), count_of(0, 1), count_of(0, 2), count_of(0, 3)};
  for (int w = 1; kWords == 0 && w < n_words; ++w) {
    for (int s = 0; s < 4; ++s) count[s] = _mm512_add_epi64(count[s], count_of(w, s));
  }
  const __m512i low = _mm512_or_si512(count[0], shifted<16>(count[1]));
  return _mm512_ternarylogic_epi64(low, shifted<32>(count[2]), shifted<48>(count[3]), kTernaryOr);
}

// Lanes of 32 keys from j on that lie in [from, to).
__mmask32 lanes_within(int64_t j, int64_t from, int64_t to) {
  uint64_t lanes = 0xffffffff;
  if (j < from) lanes = from - j < kKeyBlock ? lanes << (from - j) & 0xffffffff : 0;
  if (to - j < kKeyBlock) lanes &= to > j ? (uint64_t{1} << (to - j)) - 1 : 0;
  return static_cast<__mmask32>(lanes);
}

uint16_t least_of(__m512i counts) {
  const __m256i half = _mm256_min_epu16(_mm512_maskz_extracti64x4_epi64(0xf, counts, 0),
                                        _mm512_maskz_extracti64x4_epi64(0xf, counts, 1));
  const __m128i quarter =
      _mm_min_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return static_cast<uint16_t>(_mm_extract_epi16(_mm_minpos_epu16(quarter), 0));
}

// Pair by pair, lane s to lane s + half: the order of `total` in softmax_b1_loops.h.
float total_of(__m512 low, __m512 high) {
  const __m512 sums = _mm512_add_ps(low, high);
  const __m256 half = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, sums, 0),
                                    _mm512_maskz_extractf32x8_ps(0xff, sums, 1));
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// A table of up to 64 entries.
class TableInRegisters {
 public:
  explicit TableInRegisters(const ShareTable& table) : size_(_mm512_set1_epi32(table.size)) {
    for (int p = 0; p < 4; ++p) {
      const int left = table.size - 16 * p;
      const auto mask =
          static_cast<__mmask16>(left >= 16 ? 0xffff : (left > 0 ? (1u << left) - 1 : 0));
      part_[p] = _mm512_maskz_loadu_ps(mask, table.exp + 16 * p);
    }
  }

  __m512 plus(__m512 sums, __m512i index) const {
    const __m512 low = _mm512_permutex2var_ps(part_[0], index, part_[1]);
    const __mmask16 is_high = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
    const __m512 high = _mm512_permutex2var_ps(part_[2], index, part_[3]);
    const __mmask16 is_inside = _mm512_cmplt_epu32_mask(index, size_);
    return _mm512_mask_add_ps(sums, is_inside, sums, _mm512_mask_blend_ps(is_high, low, high));
  }

 private:
  __m512i size_;
  __m512 part_[4];
};

// A table of any size, in memory.
class TableInMemory {
 public:
  explicit TableInMemory(const ShareTable& table)
      : exp_(table.exp), size_(_mm512_set1_epi32(table.size)) {}

  __m512 plus(__m512 sums, __m512i index) const {
    const __mmask16 is_inside = _mm512_cmplt_epu32_mask(index, size_);
    const __m512 zero = _mm512_setzero_ps();
    return _mm512_add_ps(sums, _mm512_mask_i32gather_ps(zero, is_inside, index, exp_, 4));
  }

 private:
  const float* exp_;
  __m512i size_;
};

template <typename Table>
float total_of_shares(const Table& table, const uint16_t* counts, int64_t n, uint16_t least) {
  const __m512i first = _mm512_set1_epi32(least);
  __m512 low = _mm512_setzero_ps();
  __m512 high = _mm512_setzero_ps();
  for (int64_t j = 0; j < n; j += kKeyBlock) {
    const auto* half = reinterpret_cast<const __m256i*>(counts + j);
    const __m512i of_low = widened(_mm256_loadu_si256(half));
    const __m512i of_high = widened(_mm256_loadu_si256(half + 1));
    low = table.plus(low, _mm512_sub_epi32(of_low, first));
    high = table.plus(high, _mm512_sub_epi32(of_high, first));
  }
  return total_of(low, high);
}

// Counts of the words in which [from, to) lie; returns the least of [from, to).
template <int kWords>
uint16_t count_keys(const uint64_t* q, const uint64_t* keys, int n_words, int64_t from, int64_t to,
                    uint16_t* counts) {
  const __m512i hidden = _mm512_set1_epi16(static_cast<int16_t>(kHiddenCount));
  __m512i lowest = hidden;
  for (int64_t j = first_of(from); j < last_of(to); j += kKeyBlock) {
    __m512i count = counts_of<kWords>(q, keys + j * n_words, n_words);
    if (j < from || j + kKeyBlock > to) {
      count = _mm512_mask_blend_epi16(lanes_within(j, from, to), hidden, count);
    }
    lowest = _mm512_min_epu16(lowest, count);
    _mm512_storeu_si512(counts + j, count);
  }
  return least_of(lowest);
}

// Bits of the counts of [begin, end) that are at most `limit`; returns how many.
int32_t compare(const uint16_t* counts, int64_t begin, int64_t end, int32_t limit, uint64_t* bits) {
  // Below the least count there may be no number.
  const bool is_any = limit >= 0;
  const __m512i most = _mm512_set1_epi16(static_cast<int16_t>(is_any ? limit : 0));
  int32_t ones = 0;
  for (int64_t j = begin; j < end; j += kWordBits) {
    const uint64_t low = _mm512_cmple_epu16_mask(_mm512_loadu_si512(counts + j), most);
    const uint64_t high = _mm512_cmple_epu16_mask(_mm512_loadu_si512(counts + j + kKeyBlock), most);
    const uint64_t word = is_any ? low | high << kKeyBlock : 0;
    bits[j / kWordBits] = word;
    ones += static_cast<int32_t>(_mm_popcnt_u64(word));
  }
  return ones;
}

}  // namespace

// Step by step for all queries: what one waits for, its least count and its sum, the others fill.
void softmax_b1_avx512(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys,
                       uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  const int n = queries.n;
  int64_t n_counts = 0;
  for (int i = 0; i < n; ++i) n_counts = std::max(n_counts, last_of(queries.to[i]));
  uint16_t least[QueriesB1::kMax];
  const auto count = n_words == 1 ? count_keys<1> : count_keys<0>;
  for (int i = 0; i < n; ++i) {
    least[i] = count(queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys, n_words,
                     queries.from[i], queries.to[i], counts + i * n_counts);
  }
  const TableInRegisters in_registers(table);
  float total[QueriesB1::kMax];
  for (int i = 0; i < n; ++i) {
    const int64_t first = first_of(queries.from[i]);
    const int64_t n_keys = last_of(queries.to[i]) - first;
    const uint16_t* inside = counts + i * n_counts + first;
    // No count is further from the least one than the words have bits.
    const bool is_near = table.size <= 64 || n_words * kWordBits - least[i] < 64;
    total[i] = is_near ? total_of_shares(in_registers, inside, n_keys, least[i])
                       : total_of_shares(TableInMemory(table), inside, n_keys, least[i]);
  }
  for (int i = 0; i < n; ++i) {
    const int32_t limit = greatest_count(least[i], n_above(table, table.half * total[i]));
    ones[i] = compare(counts + i * n_counts, first_of(queries.from[i]), last_of(queries.to[i]),
                      limit, bits + i * bits_stride);
  }
}

}  // namespace earbit
