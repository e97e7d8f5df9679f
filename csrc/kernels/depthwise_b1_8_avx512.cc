// dot[c] = kernel - 2 popcount(window[c] xor w[c]), or 2 popcount(window[c] and w[c]) -
// popcount(window[c]), for AVX-512 with VPOPCNTDQ: 8 channels at a time, one 64-bit word each.
#include <immintrin.h>

#include "kernels/depthwise_b1.h"

namespace earbit {
namespace {

// Uses masked forms, because GCC 12 warns about the undefined source register of the others.
constexpr __mmask8 kAll = 0xff;

template <bool is_unsigned>
void run(const uint64_t* x, const uint64_t* w, int n_channels, int kernel, int shift,
         int32_t* dot) {
  // A shift by 64 gives 0 here, unlike in plain C.
  const __m512i right = _mm512_set1_epi64(shift);
  const __m512i to_left = _mm512_set1_epi64(64 - shift);
  const __m512i length = _mm512_set1_epi64(kernel);
  for (int c = 0; c < n_channels; c += 8) {
    const uint64_t* a = x + c;
    const uint64_t* b = w + c;
    __m512i counts = _mm512_setzero_si512();
    __m512i ones = _mm512_setzero_si512();
    for (int left = kernel; left > 0; left -= 64, a += n_channels, b += n_channels) {
      const uint64_t mask = left < 64 ? (uint64_t{1} << left) - 1 : ~uint64_t{0};
      const __m512i low = _mm512_maskz_srlv_epi64(kAll, _mm512_loadu_si512(a), right);
      const __m512i high =
          _mm512_maskz_sllv_epi64(kAll, _mm512_loadu_si512(a + n_channels), to_left);
      const __m512i window = _mm512_and_si512(_mm512_or_si512(low, high),
                                              _mm512_set1_epi64(static_cast<int64_t>(mask)));
      const __m512i weight = _mm512_loadu_si512(b);
      const __m512i bits =
          is_unsigned ? _mm512_and_si512(window, weight) : _mm512_xor_si512(window, weight);
      counts = _mm512_add_epi64(counts, _mm512_popcnt_epi64(bits));
      if (is_unsigned) ones = _mm512_add_epi64(ones, _mm512_popcnt_epi64(window));
    }
    const __m512i twice = _mm512_add_epi64(counts, counts);
    const __m512i sum =
        is_unsigned ? _mm512_sub_epi64(twice, ones) : _mm512_sub_epi64(length, twice);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dot + c),
                        _mm512_maskz_cvtepi64_epi32(kAll, sum));
  }
}

}  // namespace

void depthwise_b1_8_avx512(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                           int shift, bool is_unsigned, int32_t* dot) {
  if (is_unsigned) {
    run<true>(x, w, n_channels, kernel, shift, dot);
  } else {
    run<false>(x, w, n_channels, kernel, shift, dot);
  }
}

}  // namespace earbit
