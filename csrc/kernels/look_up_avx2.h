// Look-ups of the one bits of two rows at a time, for the AVX2 kernels of binary products, which
// include this in their anonymous namespaces.
//
// Four bits of a row leave 16 possible counts, popcount(a4 OP w4), and vpshufb looks up the four
// bits of 32 columns in one instruction.  A count is at most 4, so a byte of a table holds those of
// two rows, and one look-up gives 256 one-bit products.  Three look-ups fill the half bytes; then
// one sum of whole bytes and one of high halves separate the rows: 9 instructions for 768 products.
//   low row  = sum of bytes - 16 sum of high halves, modulo 256;  high row = sum of high halves

constexpr int kQuarters = 16;  // four bits of a word each

// For four bits of a row (in the low half of the index) and of another (in the high half): counts
// with all weights, in the same halves of a byte.
struct Tables {
  alignas(32) uint8_t counts[256][16] = {};

  constexpr explicit Tables(BitOp op) {
    for (int pair = 0; pair < 256; ++pair) {
      for (int w = 0; w < 16; ++w) {
        const int low = op == BitOp::exclusive_or ? (pair & 15) ^ w : (pair & 15) & w;
        const int high = op == BitOp::exclusive_or ? (pair >> 4) ^ w : (pair >> 4) & w;
        counts[pair][w] =
            static_cast<uint8_t>(__builtin_popcount(static_cast<unsigned>(low)) |
                                 __builtin_popcount(static_cast<unsigned>(high)) << 4);
      }
    }
  }
};

[[gnu::always_inline]] inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

// Offsets in the tables for n_words of two rows, four bits after the other.
inline void pair_rows(const uint64_t* low, const uint64_t* high, int n_words, uint16_t* offsets) {
  const __m128i half = _mm_set1_epi8(15);
  for (int k = 0; k < n_words; ++k, offsets += kQuarters) {
    const __m128i a = _mm_cvtsi64_si128(static_cast<int64_t>(low[k]));
    const __m128i b = _mm_cvtsi64_si128(static_cast<int64_t>(high[k]));
    const __m128i firsts =
        _mm_or_si128(_mm_and_si128(a, half), _mm_slli_epi16(_mm_and_si128(b, half), 4));
    const __m128i seconds =
        _mm_or_si128(_mm_and_si128(_mm_srli_epi16(a, 4), half), _mm_andnot_si128(half, b));
    const __m256i pairs = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(firsts, seconds));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(offsets), _mm256_slli_epi16(pairs, 4));
  }
}

// A barrier without instructions: reordered sums would not fit the registers.
[[gnu::always_inline]] inline __m256i kept(__m256i x) {
  asm("" : "+x"(x));
  return x;
}

[[gnu::always_inline]] inline __m256i high_halves(__m256i x) {
  return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15));
}

// Counts of the low row, from the sums of bytes and of high halves.
[[gnu::always_inline]] inline __m256i low_row(__m256i all, __m256i high) {
  const __m256i sixteen = _mm256_and_si256(_mm256_slli_epi16(high, 4), _mm256_set1_epi8(-16));
  return _mm256_sub_epi8(all, sixteen);
}
