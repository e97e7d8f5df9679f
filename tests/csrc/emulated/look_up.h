// Intrinsics of the kernels that look up counts, and of kernels with 256 bits; included by
// immintrin.h.
#pragma once

namespace emulated {

inline int16_t saturated(int x) {
  return static_cast<int16_t>(x > INT16_MAX ? INT16_MAX : (x < INT16_MIN ? INT16_MIN : x));
}

template <typename T, typename Vector>
Vector filled_with(T x) {
  return of_elements<T>(Vector{}, Vector{}, [x](T, T) { return x; });
}

// In every 16 bytes, the elements of one half of a and of b in turn.
template <typename T, typename Vector>
Vector unpacked(const Vector& a, const Vector& b, bool is_high) {
  constexpr size_t n = 16 / sizeof(T);
  const auto x = std::bit_cast<std::array<T, sizeof(Vector) / sizeof(T)>>(a);
  const auto y = std::bit_cast<std::array<T, sizeof(Vector) / sizeof(T)>>(b);
  auto result = x;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t from = i / n * n + (is_high ? n / 2 : 0) + i % n / 2;
    result[i] = i % 2 == 0 ? x[from] : y[from];
  }
  return std::bit_cast<Vector>(result);
}

// Elements of 32 bits, each shortened to 16.
template <typename Shorten>
__m256i shortened(__mmask16 mask, const __m512i& a, Shorten&& shorten) {
  std::array<uint16_t, 16> result;
  for (int i = 0; i < 16; ++i) {
    const auto x = static_cast<int32_t>(a.lane[i]);
    result[i] = mask >> i & 1 ? static_cast<uint16_t>(shorten(x)) : 0;
  }
  return std::bit_cast<__m256i>(result);
}

}  // namespace emulated

inline __m512i _mm512_set1_epi16(short x) { return emulated::filled_with<int16_t, __m512i>(x); }

inline __m512i _mm512_setr_epi64(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f,
                                 int64_t g, int64_t h) {
  return std::bit_cast<__m512i>(std::array<int64_t, 8>{a, b, c, d, e, f, g, h});
}

inline __m512i _mm512_maskz_broadcast_i32x4(__mmask16 mask, __m128i a) {
  __m512i result;
  for (int i = 0; i < 16; ++i) result.lane[i] = mask >> i & 1 ? a.lane[i % 4] : 0;
  return result;
}

// Bytes of the same 16 bytes of a, by the low four bits of an index; 0 where its highest bit is
// set.
inline __m512i _mm512_shuffle_epi8(__m512i a, __m512i index) {
  return emulated::of_elements<uint8_t>(index, index, [&a, i = 0](int from, int) mutable {
    const int place = i++ / 16 * 16 + (from & 15);
    return from & 128 ? 0 : emulated::part_of<uint8_t>(a, place);
  });
}

inline __m512i _mm512_sub_epi8(__m512i a, __m512i b) {
  return emulated::of_elements<uint8_t>(a, b, [](int x, int y) { return x - y; });
}

inline __m512i _mm512_add_epi16(__m512i a, __m512i b) {
  return emulated::of_elements<uint16_t>(a, b, [](int x, int y) { return x + y; });
}

inline __m512i _mm512_adds_epi16(__m512i a, __m512i b) {
  return emulated::of_elements<int16_t>(a, b,
                                        [](int x, int y) { return emulated::saturated(x + y); });
}

inline __m512i _mm512_subs_epi16(__m512i a, __m512i b) {
  return emulated::of_elements<int16_t>(a, b,
                                        [](int x, int y) { return emulated::saturated(x - y); });
}

inline __m512i _mm512_srli_epi16(__m512i a, unsigned by) {
  return emulated::of_elements<uint16_t>(a, a, [by](int x, int) { return x >> by; });
}

inline __m512i _mm512_slli_epi16(__m512i a, unsigned by) {
  return emulated::of_elements<uint16_t>(a, a, [by](int x, int) { return x << by; });
}

inline __m512i _mm512_maskz_srli_epi32(__mmask16 mask, __m512i a, unsigned by) {
  return emulated::each(a, a, [mask, by, i = 0](uint32_t x, uint32_t) mutable {
    return mask >> i++ & 1 ? x >> by : 0;
  });
}

// Sums of |a - b| of every eight bytes.
inline __m512i _mm512_sad_epu8(__m512i a, __m512i b) {
  const auto differences =
      emulated::of_elements<uint8_t>(a, b, [](int x, int y) { return x > y ? x - y : y - x; });
  return emulated::each64(differences, differences, [](uint64_t bytes, uint64_t) {
    uint64_t sum = 0;
    for (; bytes != 0; bytes >>= 8) sum += bytes & 255;
    return sum;
  });
}

inline __m512i _mm512_unpacklo_epi16(__m512i a, __m512i b) {
  return emulated::unpacked<uint16_t>(a, b, false);
}

inline __m512i _mm512_unpackhi_epi16(__m512i a, __m512i b) {
  return emulated::unpacked<uint16_t>(a, b, true);
}

// Of 16 words, a and then b.
inline __m512i _mm512_permutex2var_epi64(__m512i a, __m512i index, __m512i b) {
  return emulated::each64(index, index, [&](uint64_t i, uint64_t) {
    return emulated::part_of<uint64_t>(i & 8 ? b : a, static_cast<int>(i & 7));
  });
}

inline __m512i _mm512_maskz_cvtepu16_epi32(__mmask16 mask, __m256i a) {
  __m512i result;
  for (int i = 0; i < 16; ++i) {
    result.lane[i] = mask >> i & 1 ? emulated::part_of<uint16_t>(a, i) : 0;
  }
  return result;
}

inline __m256i _mm512_maskz_cvtepi32_epi16(__mmask16 mask, __m512i a) {
  return emulated::shortened(mask, a, [](int32_t x) { return x; });
}

inline __m256i _mm512_maskz_cvtsepi32_epi16(__mmask16 mask, __m512i a) {
  return emulated::shortened(mask, a, emulated::saturated);
}

inline __mmask64 _mm512_movepi8_mask(__m512i a) {
  __mmask64 mask = 0;
  for (int i = 0; i < 64; ++i) {
    mask |= static_cast<__mmask64>(emulated::part_of<uint8_t>(a, i) >> 7) << i;
  }
  return mask;
}

inline __m256i _mm256_setzero_si256() { return __m256i{}; }

inline __m256i _mm256_set1_epi32(int x) { return emulated::filled_with<int32_t, __m256i>(x); }

inline __m256i _mm256_loadu_si256(const __m256i* from) {
  __m256i result;
  std::memcpy(result.lane, from, sizeof result.lane);
  return result;
}

inline __m256i _mm256_slli_epi16(__m256i a, int by) {
  return emulated::of_elements<uint16_t>(a, a, [by](int x, int) { return x << by; });
}

inline __m256i _mm256_cvtepu8_epi16(__m128i a) {
  std::array<uint16_t, 16> result;
  for (int i = 0; i < 16; ++i) result[i] = emulated::part_of<uint8_t>(a, i);
  return std::bit_cast<__m256i>(result);
}

inline __m128i _mm_load_si128(const __m128i* from) {
  __m128i result;
  std::memcpy(result.lane, from, sizeof result.lane);
  return result;
}

inline void _mm_storeu_si128(__m128i* to, __m128i x) { std::memcpy(to, x.lane, sizeof x.lane); }

inline __m128i _mm_cvtsi64_si128(int64_t x) {
  return std::bit_cast<__m128i>(std::array<int64_t, 2>{x, 0});
}

inline __m128i _mm_set1_epi8(char x) { return emulated::filled_with<int8_t, __m128i>(x); }

template <typename... Bytes>
inline __m128i _mm_setr_epi8(Bytes... bytes) {
  return std::bit_cast<__m128i>(std::array<int8_t, 16>{static_cast<int8_t>(bytes)...});
}

inline __m128i _mm_or_si128(__m128i a, __m128i b) {
  return emulated::of_elements<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return x | y; });
}

inline __m128i _mm_andnot_si128(__m128i a, __m128i b) {
  return emulated::of_elements<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return ~x & y; });
}

inline __m128i _mm_slli_epi16(__m128i a, int by) {
  return emulated::of_elements<uint16_t>(a, a, [by](int x, int) { return x << by; });
}

inline __m128i _mm_unpacklo_epi8(__m128i a, __m128i b) {
  return emulated::unpacked<uint8_t>(a, b, false);
}

inline __m128i _mm_unpackhi_epi8(__m128i a, __m128i b) {
  return emulated::unpacked<uint8_t>(a, b, true);
}
