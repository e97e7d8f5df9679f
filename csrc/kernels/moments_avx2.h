// add_moments of elementwise.h for AVX2 and up to 12 taps.  elementwise_avx2.cc includes it in its
// anonymous namespace.
//
// Products of taps k and l are equal to those of l and k, so four taps at a time are multiplied by
// their own four and later ones.  Products of floats are exact in double precision.
constexpr int kMomentTaps = 12;

struct Moments {
  double taps[kMomentTaps] = {};
  double pairs[kMomentTaps][kMomentTaps] = {};
};

// Moments of taps 4 kFirst to 4 kFirst + 3 with those from 4 kFirst on, of kBlocks blocks of four.
// b: blocks from kFirst on, a pack of constants, because sums must live in registers.
template <int kFirst, int kBlocks, int... b>
inline void add_four_taps(std::integer_sequence<int, b...>, const float* x, ptrdiff_t stride,
                          int64_t n_rows, __m128i last, Moments& moments) {
  constexpr int kLeft = kBlocks - kFirst;
  __m256d sum = _mm256_setzero_pd();
  __m256d of_pairs[4][kLeft];
  ((of_pairs[0][b] = of_pairs[1][b] = of_pairs[2][b] = of_pairs[3][b] = sum), ...);
  for (int64_t t = 0; t < n_rows; ++t) {
    const float* window = x + t * stride + 4 * kFirst;
    // The last block ends with the window, behind which nothing may be read.
    const __m256d block[] = {_mm256_cvtps_pd(
        b + 1 < kLeft ? _mm_loadu_ps(window + 4 * b) : _mm_maskload_ps(window + 4 * b, last))...};
    const __m256d tap[] = {
        _mm256_permute4x64_pd(block[0], 0x00), _mm256_permute4x64_pd(block[0], 0x55),
        _mm256_permute4x64_pd(block[0], 0xaa), _mm256_permute4x64_pd(block[0], 0xff)};
    sum = _mm256_add_pd(sum, block[0]);
    const auto add = [&](auto at) __attribute__((always_inline)) {
      const auto product = [&](int k) __attribute__((always_inline)) {
        return _mm256_mul_pd(tap[k], block[at]);
      };
      of_pairs[0][at] = _mm256_add_pd(of_pairs[0][at], product(0));
      of_pairs[1][at] = _mm256_add_pd(of_pairs[1][at], product(1));
      of_pairs[2][at] = _mm256_add_pd(of_pairs[2][at], product(2));
      of_pairs[3][at] = _mm256_add_pd(of_pairs[3][at], product(3));
    };
    (add(std::integral_constant<int, b>()), ...);
  }
  _mm256_storeu_pd(moments.taps + 4 * kFirst, sum);
  for (int k = 0; k < 4; ++k) {
    (_mm256_storeu_pd(moments.pairs[4 * kFirst + k] + 4 * (kFirst + b), of_pairs[k][b]), ...);
  }
}

template <int kBlocks, int... first>
inline void add_all_taps(std::integer_sequence<int, first...>, const float* x, ptrdiff_t stride,
                         int64_t n_rows, __m128i last, Moments& moments) {
  (add_four_taps<first, kBlocks>(std::make_integer_sequence<int, kBlocks - first>(), x, stride,
                                 n_rows, last, moments),
   ...);
}

inline void add_moments_avx2(const float* x, ptrdiff_t stride, int64_t n_rows, int n_taps,
                             double* sums) {
  if (n_taps > kMomentTaps) return add_moments(x, stride, n_rows, n_taps, sums);
  const int n_last = (n_taps - 1) % 4 + 1;
  const __m128i last = _mm_cmpgt_epi32(_mm_set1_epi32(n_last), _mm_setr_epi32(0, 1, 2, 3));
  Moments moments;
  const auto add = [&](auto blocks) {
    add_all_taps<static_cast<int>(blocks.size())>(blocks, x, stride, n_rows, last, moments);
  };
  if (n_taps <= 4) {
    add(std::make_integer_sequence<int, 1>());
  } else if (n_taps <= 8) {
    add(std::make_integer_sequence<int, 2>());
  } else {
    add(std::make_integer_sequence<int, 3>());
  }
  for (int k = 0; k < n_taps; ++k) {
    sums[k] += moments.taps[k];
    for (int l = 0; l < n_taps; ++l) {
      sums[n_taps + k * n_taps + l] += l < k ? moments.pairs[l][k] : moments.pairs[k][l];
    }
  }
}
