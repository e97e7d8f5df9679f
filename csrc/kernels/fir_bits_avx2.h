// fir_bits of elementwise.h for AVX2.  elementwise_avx2.cc includes it in its anonymous namespace.
//
// Lanes are columns.  Two rows x 32 columns are 8 sums, so that additions do not wait for each
// other; arrays are indexed by constants alone, because compilers keep others in memory.
constexpr int kFirVectors = 4;
constexpr int kFirHalf = 8 * kFirVectors;
static_assert(kFirCols == 2 * kFirHalf);

// Bit j is y[j] >= threshold[j], for 32 values in 4 vectors.
[[gnu::always_inline]] inline uint32_t at_least_32(const __m256* y, const __m256* threshold) {
  const auto is_at_least = [&](int v) {
    return _mm256_castps_si256(_mm256_cmp_ps(y[v], threshold[v], _CMP_GE_OQ));
  };
  // Packing works in halves of 16 bytes, so that four bytes of a half are one vector's.
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(is_at_least(0), is_at_least(1)),
                                           _mm256_packs_epi32(is_at_least(2), is_at_least(3)));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_permutevar8x32_epi32(bytes, order)));
}

template <int n_rows>
[[gnu::always_inline]] inline void fir_half(const float* a, ptrdiff_t a_stride, const float* w,
                                            int n_taps, const float* threshold, char* bits,
                                            ptrdiff_t bits_stride) {
  __m256 sum[n_rows][kFirVectors];
  __m256 x[n_rows];
  for (int i = 0; i < n_rows; ++i) x[i] = _mm256_broadcast_ss(a + i * a_stride);
  // The first tap needs no addition: 0 + y differs from y in the sign of 0 alone.
  for (int v = 0; v < kFirVectors; ++v) {
    const __m256 weight = _mm256_loadu_ps(w + 8 * v);
    for (int i = 0; i < n_rows; ++i) sum[i][v] = _mm256_mul_ps(weight, x[i]);
  }
  for (int k = 1; k < n_taps; ++k) {
    for (int i = 0; i < n_rows; ++i) x[i] = _mm256_broadcast_ss(a + i * a_stride + k);
    for (int v = 0; v < kFirVectors; ++v) {
      __m256 weight = _mm256_loadu_ps(w + k * kFirCols + 8 * v);
      // A barrier without instructions: the compiler would load it again for every row.
      asm("" : "+x"(weight));
      for (int i = 0; i < n_rows; ++i) {
        sum[i][v] = _mm256_add_ps(sum[i][v], _mm256_mul_ps(weight, x[i]));
      }
    }
  }
  __m256 limit[kFirVectors];
  for (int v = 0; v < kFirVectors; ++v) limit[v] = _mm256_loadu_ps(threshold + 8 * v);
  for (int i = 0; i < n_rows; ++i) {
    const uint32_t half = at_least_32(sum[i], limit);
    std::memcpy(bits + i * bits_stride, &half, sizeof(half));
  }
}

inline void fir_bits_avx2(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* w,
                          int n_taps, const float* threshold, uint64_t* bits,
                          ptrdiff_t bits_stride) {
  const ptrdiff_t stride = bits_stride * ptrdiff_t{sizeof(uint64_t)};
  for (int half = 0; half < 2; ++half, w += kFirHalf, threshold += kFirHalf) {
    char* out = reinterpret_cast<char*>(bits) + 4 * half;
    int64_t i = 0;
    for (; i + 2 <= n_rows; i += 2) {
      fir_half<2>(a + i * a_stride, a_stride, w, n_taps, threshold, out + i * stride, stride);
    }
    if (i < n_rows) {
      fir_half<1>(a + i * a_stride, a_stride, w, n_taps, threshold, out + i * stride, stride);
    }
  }
}
