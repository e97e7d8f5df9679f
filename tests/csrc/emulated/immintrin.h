// The intrinsics of the AVX-512 and AVX-VNNI kernels in plain C++, so that every machine can test
// those files: put this folder first on the include path and no instruction set is needed.
//
// Only what the kernels use is here; a new intrinsic there is a compile error, not a silent pass.
// Lane i of a vector is element i in memory, as on the CPU.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>

// What kernels share asks for it.
#ifndef __AVX2__
#define __AVX2__ 1
#endif

struct __m512i {
  uint32_t lane[16];
};
struct __m256i {
  uint32_t lane[8];
};
struct __m512 {
  float lane[16];
};
using __mmask8 = uint8_t;
using __mmask16 = uint16_t;
using __mmask32 = uint32_t;
using __mmask64 = uint64_t;

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

namespace emulated {

template <typename Vector>
Vector dpbusd(Vector sum, const Vector& a, const Vector& b) {
  for (size_t i = 0; i < std::size(sum.lane); ++i) {
    for (int byte = 0; byte < 4; ++byte) {
      const auto x = static_cast<uint8_t>(a.lane[i] >> (8 * byte));
      const auto w = static_cast<int8_t>(b.lane[i] >> (8 * byte));
      sum.lane[i] += static_cast<uint32_t>(x * w);
    }
  }
  return sum;
}

}  // namespace emulated

inline __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
  return emulated::dpbusd(sum, a, b);
}

inline __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  return emulated::dpbusd(sum, a, b);
}

inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) {
  return emulated::each(a, b, [](uint32_t x, uint32_t y) { return x - y; });
}

inline __m512i _mm512_maskz_srai_epi32(__mmask16 mask, __m512i a, unsigned n_bits) {
  return emulated::each(a, a, [mask, n_bits, i = 0](uint32_t x, uint32_t) mutable {
    return mask >> i++ & 1 ? static_cast<uint32_t>(static_cast<int32_t>(x) >> n_bits) : 0;
  });
}

// What a mask leaves out is not read.
inline __m512i _mm512_maskz_loadu_epi32(__mmask16 mask, const void* from) {
  __m512i result{};
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(&result.lane[i], static_cast<const uint32_t*>(from) + i, 4);
  }
  return result;
}

inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* from) {
  return std::bit_cast<__m512>(_mm512_maskz_loadu_epi32(mask, from));
}

inline void _mm512_mask_storeu_ps(void* to, __mmask16 mask, __m512 x) {
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(static_cast<float*>(to) + i, &x.lane[i], 4);
  }
}

namespace emulated {

template <typename Holds>
__mmask16 compared(__mmask16 mask, __m512i a, __m512i b, Holds&& holds) {
  uint32_t result = 0;
  for (int i = 0; i < 16; ++i) {
    const bool is_true = holds(static_cast<int32_t>(a.lane[i]), static_cast<int32_t>(b.lane[i]));
    result |= static_cast<uint32_t>(is_true) << i;
  }
  return static_cast<__mmask16>(result & mask);
}

}  // namespace emulated

inline __mmask16 _mm512_mask_cmple_epi32_mask(__mmask16 mask, __m512i a, __m512i b) {
  return emulated::compared(mask, a, b, [](int32_t x, int32_t y) { return x <= y; });
}

inline __mmask16 _mm512_mask_cmpge_epi32_mask(__mmask16 mask, __m512i a, __m512i b) {
  return emulated::compared(mask, a, b, [](int32_t x, int32_t y) { return x >= y; });
}

inline __mmask32 _mm512_kunpackw(__mmask32 high, __mmask32 low) {
  return high << 16 | (low & 0xffff);
}

inline __mmask64 _mm512_kunpackd(__mmask64 high, __mmask64 low) {
  return high << 32 | (low & 0xffffffff);
}

inline __m512 _mm512_maskz_cvtepi32_ps(__mmask16 mask, __m512i a) {
  __m512 result;
  for (int i = 0; i < 16; ++i) {
    result.lane[i] = mask >> i & 1 ? static_cast<float>(static_cast<int32_t>(a.lane[i])) : 0;
  }
  return result;
}

inline __m512 _mm512_mul_ps(__m512 a, __m512 b) {
  for (int i = 0; i < 16; ++i) a.lane[i] *= b.lane[i];
  return a;
}

inline __m512 _mm512_add_ps(__m512 a, __m512 b) {
  for (int i = 0; i < 16; ++i) a.lane[i] += b.lane[i];
  return a;
}

inline __m512 _mm512_setzero_ps() { return __m512{}; }

inline __m512 _mm512_set1_ps(float x) {
  __m512 result;
  for (float& lane : result.lane) lane = x;
  return result;
}

inline __m512 _mm512_loadu_ps(const void* from) { return _mm512_maskz_loadu_ps(0xffff, from); }

inline __m512i _mm512_maskz_loadu_epi64(__mmask8 mask, const void* from) {
  __m512i result{};
  for (int i = 0; i < 8; ++i) {
    if (mask >> i & 1) std::memcpy(&result.lane[2 * i], static_cast<const uint64_t*>(from) + i, 8);
  }
  return result;
}

// The one comparison that kernels use: at least, and false for NaN.
constexpr int _CMP_GE_OQ = 29;

inline __mmask16 _mm512_mask_cmp_ps_mask(__mmask16 mask, __m512 a, __m512 b, int) {
  uint32_t result = 0;
  for (int i = 0; i < 16; ++i) result |= static_cast<uint32_t>(a.lane[i] >= b.lane[i]) << i;
  return static_cast<__mmask16>(result & mask);
}

inline __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int kind) {
  return _mm512_mask_cmp_ps_mask(0xffff, a, b, kind);
}

#include "bytes.h"
#include "look_up.h"
