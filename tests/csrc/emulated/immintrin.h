// The AVX-512 intrinsics of the AVX-512 kernels in plain C++, so that every machine can test those
// files: put this folder first on the include path and no instruction set is needed.
//
// Only what the kernels use is here; a new intrinsic there is a compile error, not a silent pass.
// Lane i of a vector is element i in memory, as on the CPU.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

struct __m512i {
  uint32_t lane[16];
};
struct __m256i {
  uint32_t lane[8];
};
using __mmask8 = uint8_t;

namespace emulated {

template <typename Operation>
__m512i each(const __m512i& a, const __m512i& b, Operation&& operation) {
  __m512i result;
  for (int i = 0; i < 16; ++i) result.lane[i] = operation(a.lane[i], b.lane[i]);
  return result;
}

// The same for lanes of 64 bits.
template <typename Operation>
__m512i each64(const __m512i& a, const __m512i& b, Operation&& operation) {
  auto x = std::bit_cast<std::array<uint64_t, 8>>(a);
  const auto y = std::bit_cast<std::array<uint64_t, 8>>(b);
  for (int i = 0; i < 8; ++i) x[i] = operation(x[i], y[i]);
  return std::bit_cast<__m512i>(x);
}

}  // namespace emulated

inline __m512i _mm512_setzero_si512() { return __m512i{}; }

inline __m512i _mm512_set1_epi32(int x) {
  __m512i result;
  for (uint32_t& lane : result.lane) lane = static_cast<uint32_t>(x);
  return result;
}

inline __m512i _mm512_loadu_si512(const void* from) {
  __m512i result;
  std::memcpy(result.lane, from, sizeof result.lane);
  return result;
}

inline void _mm512_storeu_si512(void* to, __m512i x) { std::memcpy(to, x.lane, sizeof x.lane); }

inline __m512i _mm512_xor_si512(__m512i a, __m512i b) {
  return emulated::each(a, b, [](uint32_t x, uint32_t y) { return x ^ y; });
}

inline __m512i _mm512_and_si512(__m512i a, __m512i b) {
  return emulated::each(a, b, [](uint32_t x, uint32_t y) { return x & y; });
}

inline __m512i _mm512_add_epi32(__m512i a, __m512i b) {
  return emulated::each(a, b, [](uint32_t x, uint32_t y) { return x + y; });
}

inline __m512i _mm512_popcnt_epi32(__m512i a) {
  return emulated::each(
      a, a, [](uint32_t x, uint32_t) { return static_cast<uint32_t>(std::popcount(x)); });
}

inline __m512i _mm512_set1_epi64(int64_t x) {
  return emulated::each64({}, {}, [x](uint64_t, uint64_t) { return static_cast<uint64_t>(x); });
}

inline __m512i _mm512_or_si512(__m512i a, __m512i b) {
  return emulated::each(a, b, [](uint32_t x, uint32_t y) { return x | y; });
}

inline __m512i _mm512_add_epi64(__m512i a, __m512i b) {
  return emulated::each64(a, b, [](uint64_t x, uint64_t y) { return x + y; });
}

inline __m512i _mm512_sub_epi64(__m512i a, __m512i b) {
  return emulated::each64(a, b, [](uint64_t x, uint64_t y) { return x - y; });
}

inline __m512i _mm512_popcnt_epi64(__m512i a) {
  return emulated::each64(
      a, a, [](uint64_t x, uint64_t) { return static_cast<uint64_t>(std::popcount(x)); });
}

// A shift by 64 or more gives 0, as on the CPU.
inline __m512i _mm512_maskz_srlv_epi64(__mmask8 mask, __m512i a, __m512i by) {
  return emulated::each64(a, by, [mask, i = 0](uint64_t x, uint64_t n) mutable {
    return mask >> i++ & 1 && n < 64 ? x >> n : 0;
  });
}

inline __m512i _mm512_maskz_sllv_epi64(__mmask8 mask, __m512i a, __m512i by) {
  return emulated::each64(a, by, [mask, i = 0](uint64_t x, uint64_t n) mutable {
    return mask >> i++ & 1 && n < 64 ? x << n : 0;
  });
}

inline __m256i _mm512_maskz_cvtepi64_epi32(__mmask8 mask, __m512i a) {
  __m256i result;
  for (int i = 0; i < 8; ++i) result.lane[i] = mask >> i & 1 ? a.lane[2 * i] : 0;
  return result;
}

inline void _mm256_storeu_si256(__m256i* to, __m256i x) { std::memcpy(to, x.lane, sizeof x.lane); }

inline __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
  for (int i = 0; i < 16; ++i) {
    for (int byte = 0; byte < 4; ++byte) {
      const auto x = static_cast<uint8_t>(a.lane[i] >> (8 * byte));
      const auto w = static_cast<int8_t>(b.lane[i] >> (8 * byte));
      sum.lane[i] += static_cast<uint32_t>(x * w);
    }
  }
  return sum;
}
