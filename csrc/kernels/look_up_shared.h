// What all look-ups of the one bits of two rows share, whatever the length of their vectors:
// tables, offsets in them and indices.  Kernels include it in their anonymous namespaces.
//
// Four bits of a row leave 16 possible counts, popcount(a4 OP w4), and vpshufb looks up the four
// bits of a column in every byte of a vector.  A count is at most 4, so a byte of a table holds
// those of two rows, and one look-up in 32 bytes gives 256 one-bit products.  Three look-ups fill
// the half bytes; then one sum of whole bytes and one of high halves separate the rows: 9
// instructions for 768 products.
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

// Offsets of rows in pairs; the last one of an odd number is a pair with itself.
inline void pair_all(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                     uint16_t* arranged) {
  for (int i = 0; i < n_rows; i += 2, arranged += kQuarters * n_words) {
    const uint64_t* row = a + i * a_stride;
    pair_rows(row, i + 1 < n_rows ? row + a_stride : row, n_words, arranged);
  }
}

// Quarters of up to 64 words, `stride` apart, as indices of look-ups: byte j of
// out[q * out_stride] is quarter q of word j, for q < n_quarters, zeros for j >= n.
inline void split_words(const uint64_t* words, ptrdiff_t stride, int n, int n_quarters,
                        uint8_t* out, ptrdiff_t out_stride) {
  constexpr int kAtOnce = 16;
  for (int j = 0; j < 64; j += kAtOnce, out += kAtOnce) {
    // Bytes of words l and l + 8 are interleaved, then results likewise, until byte b of all words
    // is vector b.
    __m128i pairs[8];
    for (int l = 0; l < 8; ++l) {
      const auto word = [&](int i) {
        return _mm_cvtsi64_si128(i < n ? static_cast<int64_t>(words[i * stride]) : 0);
      };
      pairs[l] = _mm_unpacklo_epi8(word(j + l), word(j + l + 8));
    }
    __m128i fours[8];
    for (int l = 0; l < 4; ++l) {
      fours[2 * l] = _mm_unpacklo_epi8(pairs[l], pairs[l + 4]);
      fours[2 * l + 1] = _mm_unpackhi_epi8(pairs[l], pairs[l + 4]);
    }
    __m128i eights[8];
    for (int l = 0; l < 4; ++l) {
      eights[2 * l] = _mm_unpacklo_epi8(fours[l], fours[l + 4]);
      eights[2 * l + 1] = _mm_unpackhi_epi8(fours[l], fours[l + 4]);
    }
    for (int q = 0; q < n_quarters; ++q) {
      const int b = q / 2;
      const __m128i first = eights[b / 2];
      const __m128i second = eights[b / 2 + 4];
      const __m128i bytes =
          b % 2 == 0 ? _mm_unpacklo_epi8(first, second) : _mm_unpackhi_epi8(first, second);
      const __m128i quarters = q % 2 == 0 ? bytes : _mm_srli_epi16(bytes, 4);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + q * out_stride),
                       _mm_and_si128(quarters, _mm_set1_epi8(15)));
    }
  }
}

// A panel of 64 outputs for look-ups: their 16 x 64 indices per word.
inline void split_panel(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                        uint64_t* panel) {
  constexpr int kOutputs = 64;
  auto* out = reinterpret_cast<uint8_t*>(panel);
  for (int k = 0; k < n_words; ++k, out += kQuarters * kOutputs) {
    split_words(w + k, stride, n_cols, kQuarters, out, kOutputs);
  }
}
