// Look-ups of the one bits of two rows at a time (look_up_shared.h) in 32 columns, for the AVX2
// kernels of binary products, which include this in their anonymous namespaces.
#include "kernels/look_up_shared.h"

[[gnu::always_inline]] inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

[[gnu::always_inline]] inline __m256i table_at(const uint8_t* tables, uint16_t offset) {
  return _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(tables + offset)));
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

// Counts of 32 columns in 16 bits: those of even columns, and of odd ones.
struct Wide {
  __m256i even;
  __m256i odd;
};

[[gnu::always_inline]] inline void widen(__m256i counts, bool is_first, Wide& wide) {
  const __m256i even = _mm256_and_si256(counts, _mm256_set1_epi16(0xff));
  const __m256i odd = _mm256_srli_epi16(counts, 8);
  wide.even = is_first ? even : _mm256_add_epi16(wide.even, even);
  wide.odd = is_first ? odd : _mm256_add_epi16(wide.odd, odd);
}

// Adds sums of bytes and of high halves to the counts of two rows, or sets them.
[[gnu::always_inline]] inline void flush(__m256i all, __m256i high, bool is_first, Wide& to_low,
                                         Wide& to_high) {
  widen(low_row(all, high), is_first, to_low);
  widen(high, is_first, to_high);
}
