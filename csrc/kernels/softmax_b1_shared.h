// Code of all softmax_b1 kernels, which include it in their anonymous namespaces.

constexpr int32_t kHidden =
    255;  // count of keys outside of the range, larger than all counts in bytes

// Number of weights of the table above the threshold for a given sum; weights decrease.
inline int32_t n_above(const ExpTable& table, uint64_t total) {
  const auto sum = static_cast<float>(static_cast<double>(total) * 0x1p-31);
  const float needed = table.half * sum;
  int32_t n = 0;
  for (int k = 0; k < table.size; ++k) n += table.exp[k] > needed;
  return n;
}

// Boundaries of the words that contain keys [from, to).
inline int64_t first_of(int64_t from) { return from / kWordBits * kWordBits; }
inline int64_t last_of(int64_t to) { return words_for(to) * kWordBits; }

// Mask of the bits of the word at key j that are in [from, to).
inline uint64_t seen_of(int64_t j, int64_t from, int64_t to) {
  uint64_t seen = ~uint64_t{0};
  if (j < from) seen = from - j < kWordBits ? seen << (from - j) : 0;
  if (to - j < kWordBits) seen &= to > j ? (uint64_t{1} << (to - j)) - 1 : 0;
  return seen;
}

#if defined(__AVX2__)
inline uint8_t least_of(__m256i counts) {
  const __m128i half =
      _mm_min_epu8(_mm256_castsi256_si128(counts), _mm256_extracti128_si256(counts, 1));
  // Minimum of each pair of bytes, in 16 bits.
  const __m128i pairs = _mm_min_epu8(half, _mm_srli_epi16(half, 8));
  const __m128i low = _mm_and_si128(pairs, _mm_set1_epi16(0xff));
  return static_cast<uint8_t>(_mm_extract_epi16(_mm_minpos_epu16(low), 0));
}
#endif
