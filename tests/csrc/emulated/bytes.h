// Intrinsics on bytes, and on vectors of 128 and 256 bits; included by immintrin.h.
#pragma once

struct __m128i {
  uint32_t lane[4];
};

namespace emulated {

// Elements of type T of two vectors, one by one.
template <typename T, typename Vector, typename Operation>
Vector of_elements(const Vector& a, const Vector& b, Operation&& operation) {
  constexpr size_t n = sizeof(Vector) / sizeof(T);
  auto x = std::bit_cast<std::array<T, n>>(a);
  const auto y = std::bit_cast<std::array<T, n>>(b);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<T>(operation(x[i], y[i]));
  return std::bit_cast<Vector>(x);
}

inline uint8_t lesser(uint8_t x, uint8_t y) { return x < y ? x : y; }

template <typename To, typename From>
To part_of(const From& from, int place) {
  To part;
  std::memcpy(&part, reinterpret_cast<const char*>(&from) + sizeof part * place, sizeof part);
  return part;
}

}  // namespace emulated

inline __m512i _mm512_set1_epi8(char x) {
  return emulated::of_elements<uint8_t>(__m512i{}, __m512i{}, [x](int, int) { return x; });
}

inline __m512i _mm512_add_epi8(__m512i a, __m512i b) {
  return emulated::of_elements<uint8_t>(a, b, [](int x, int y) { return x + y; });
}

inline __m512i _mm512_subs_epu8(__m512i a, __m512i b) {
  return emulated::of_elements<uint8_t>(a, b, [](int x, int y) { return x > y ? x - y : 0; });
}

inline __m512i _mm512_min_epu8(__m512i a, __m512i b) {
  return emulated::of_elements<uint8_t>(a, b, emulated::lesser);
}

inline __m512i _mm512_popcnt_epi8(__m512i a) {
  return emulated::of_elements<uint8_t>(a, a, [](uint8_t x, int) { return std::popcount(x); });
}

inline __m512i _mm512_mask_blend_epi8(__mmask64 mask, __m512i a, __m512i b) {
  return emulated::of_elements<uint8_t>(
      a, b, [mask, i = 0](int x, int y) mutable { return mask >> i++ & 1 ? y : x; });
}

inline __mmask64 _mm512_cmplt_epu8_mask(__m512i a, __m512i b) {
  __mmask64 mask = 0;
  emulated::of_elements<uint8_t>(a, b, [&mask, i = 0](int x, int y) mutable {
    mask |= static_cast<__mmask64>(x < y) << i++;
    return 0;
  });
  return mask;
}

// Byte i of the result is that of 128 bytes, a and then b, which the low seven bits of index i
// name.
inline __m512i _mm512_permutex2var_epi8(__m512i a, __m512i index, __m512i b) {
  return emulated::of_elements<uint8_t>(
      index, index, [&](int i, int) { return emulated::part_of<uint8_t>(i & 64 ? b : a, i & 63); });
}

inline __m256i _mm512_maskz_extracti64x4_epi64(__mmask8 mask, __m512i a, int half) {
  return emulated::of_elements<uint64_t>(
      emulated::part_of<__m256i>(a, half), __m256i{},
      [mask, i = 0](uint64_t x, uint64_t) mutable { return mask >> i++ & 1 ? x : 0; });
}

inline __m512i _mm512_maskz_slli_epi64(__mmask8 mask, __m512i a, unsigned by) {
  return _mm512_maskz_sllv_epi64(mask, a, _mm512_set1_epi64(by));
}

inline __m512i _mm512_maskz_srli_epi64(__mmask8 mask, __m512i a, unsigned by) {
  return _mm512_maskz_srlv_epi64(mask, a, _mm512_set1_epi64(by));
}

inline __m512i _mm512_maskz_and_epi64(__mmask8 mask, __m512i a, __m512i b) {
  return emulated::each64(
      a, b, [mask, i = 0](uint64_t x, uint64_t y) mutable { return mask >> i++ & 1 ? x & y : 0; });
}

inline __m256i _mm256_min_epu8(__m256i a, __m256i b) {
  return emulated::of_elements<uint8_t>(a, b, emulated::lesser);
}

inline __m256i _mm256_add_epi64(__m256i a, __m256i b) {
  return emulated::of_elements<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x + y; });
}

inline __m128i _mm256_castsi256_si128(__m256i a) { return emulated::part_of<__m128i>(a, 0); }

inline __m128i _mm256_extracti128_si256(__m256i a, int half) {
  return emulated::part_of<__m128i>(a, half);
}

inline __m128i _mm_add_epi64(__m128i a, __m128i b) {
  return emulated::of_elements<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x + y; });
}

inline __m128i _mm_min_epu8(__m128i a, __m128i b) {
  return emulated::of_elements<uint8_t>(a, b, emulated::lesser);
}

inline __m128i _mm_and_si128(__m128i a, __m128i b) {
  return emulated::of_elements<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return x & y; });
}

inline __m128i _mm_srli_epi16(__m128i a, int by) {
  return emulated::of_elements<uint16_t>(a, a, [by](int x, int) { return x >> by; });
}

inline __m128i _mm_set1_epi16(short x) {
  return emulated::of_elements<uint16_t>(__m128i{}, __m128i{}, [x](int, int) { return x; });
}

// The least of eight, and in the next 16 bits its place.
inline __m128i _mm_minpos_epu16(__m128i a) {
  const auto x = std::bit_cast<std::array<uint16_t, 8>>(a);
  std::array<uint16_t, 8> result = {x[0]};
  for (uint16_t i = 1; i < 8; ++i) {
    if (x[i] < result[0]) result[0] = x[i], result[1] = i;
  }
  return std::bit_cast<__m128i>(result);
}

inline int _mm_extract_epi16(__m128i a, int i) { return emulated::part_of<uint16_t>(a, i); }
inline int64_t _mm_extract_epi64(__m128i a, int i) { return emulated::part_of<int64_t>(a, i); }
inline int64_t _mm_cvtsi128_si64(__m128i a) { return emulated::part_of<int64_t>(a, 0); }
inline int64_t _mm_popcnt_u64(uint64_t x) { return std::popcount(x); }
