// The AVX-512 intrinsics of gemm_b1_6x64_avx512.cc and gemm_i8_6x64_avx512.cc in plain C++, so that
// every machine can test them: put this folder first on the include path and no instruction set is
// needed.
//
// Only what the kernels use is here; a new intrinsic there is a compile error, not a silent pass.
// Lane i of a vector is element i in memory, as on the CPU.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

struct __m512i {
  uint32_t lane[16];
};

namespace emulated {

template <typename Operation>
__m512i each(const __m512i& a, const __m512i& b, Operation&& operation) {
  __m512i result;
  for (int i = 0; i < 16; ++i) result.lane[i] = operation(a.lane[i], b.lane[i]);
  return result;
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
