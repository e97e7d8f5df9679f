// The loops of lanes.h that the compiler vectorises by itself; each instruction set's file includes
// them into its own anonymous namespace and is compiled with its own flags.

// erf(x) = x P(x^2) / Q(x^2) on [-4, 4], our own least-squares fit, weighted towards equal errors;
// beyond, erf is 1 to float32 precision, and exactly 1, or gelu(-1e6) would not be 0.
inline float erf_of(float x) {
  const float z = x > 4.0f ? 4.0f : (x < -4.0f ? -4.0f : x);
  const float s = z * z;
  float p = 1.9748281374631915e-06f;
  p = p * s + 0.0002880413085222244f;
  p = p * s + 0.0040036472491919994f;
  p = p * s + 0.05346748232841492f;
  p = p * s + 0.19624902307987213f;
  p = p * s + 1.128378987312317f;
  float q = 3.7480836908798665e-05f;
  q = q * s + 0.0012163599021732807f;
  q = q * s + 0.01544442493468523f;
  q = q * s + 0.11647644639015198f;
  q = q * s + 0.5072523355484009f;
  q = q * s + 1.0f;
  const float inside = z * p / q;
  return x > 4.0f ? 1.0f : (x < -4.0f ? -1.0f : inside);
}

inline void gelu(const float* x, float* y, int64_t n) {
  constexpr float kSqrtHalf = 0.70710678118654752440f;
  for (int64_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + erf_of(x[i] * kSqrtHalf));
}

inline void scale_i32(const int32_t* x, const float* scale, const float* bias, float* y,
                      int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = scale[i] * static_cast<float>(x[i]) + bias[i];
}

inline void scale_dots(const DotTile& tile, const float* scale, const float* bias, float* y,
                       ptrdiff_t y_stride) {
  const int32_t factor = tile.is_signed ? -1 : 1;
  for (int i = 0; i < tile.n_rows; ++i) {
    const int32_t* c = tile.counts + i * tile.stride;
    const int32_t offset = tile.offsets[i];
    float* row = y + i * y_stride;
    for (int j = 0; j < tile.n_cols; ++j) {
      row[j] = scale[j] * static_cast<float>(offset + 2 * (factor * c[j])) + bias[j];
    }
  }
}

// at_most(x, limit, n): bit i of the result is x[i] <= limit, for n <= 64 numbers.
template <typename AtMost>
inline int32_t softmax_bits_by(AtMost&& at_most, const ShareTable& table, const int32_t* counts,
                               int64_t from, int64_t to, uint64_t* bits) {
  int32_t least = counts[from];
  for (int64_t j = from + 1; j < to; ++j) least = counts[j] < least ? counts[j] : least;
  // 16 sums side by side, added pair by pair: the order of a vector's lanes.
  constexpr int kSums = 16;
  float sums[kSums] = {};
  int64_t j = from;
  for (; j + kSums <= to; j += kSums) {
    for (int s = 0; s < kSums; ++s) sums[s] += table.exp[counts[j + s] - least];
  }
  for (int s = 0; j < to; ++j, ++s) sums[s] += table.exp[counts[j] - least];
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s) sums[s] += sums[s + half];
  }
  const float needed = table.half * sums[0];
  int32_t n_above = 0;
  for (int k = 0; k < table.size; ++k) n_above += table.exp[k] > needed;
  const int32_t limit = least + n_above - 1;
  int32_t ones = 0;
  for (j = from / 64 * 64; j < to; j += 64) {
    uint64_t word = at_most(counts + j, limit, static_cast<int>(to - j < 64 ? to - j : 64));
    if (j < from) word &= ~uint64_t{0} << (from - j);
    bits[j / 64] = word;
    ones += popcount(word);
  }
  return ones;
}

inline void add_moments(const float* x, ptrdiff_t stride, int64_t n_rows, int n_taps,
                        double* sums) {
  // Rows of a fixed width are what a compiler can keep in vectors.
  double of_taps[kMaxTaps] = {};
  double of_pairs[kMaxTaps][kMaxTaps] = {};
  double window[kMaxTaps] = {};
  for (int64_t t = 0; t < n_rows; ++t) {
    for (int k = 0; k < n_taps; ++k) window[k] = x[t * stride + k];
    for (int k = 0; k < n_taps; ++k) {
      of_taps[k] += window[k];
      for (int l = 0; l < (n_taps <= 16 ? 16 : kMaxTaps); ++l) {
        of_pairs[k][l] += window[k] * window[l];
      }
    }
  }
  for (int k = 0; k < n_taps; ++k) {
    sums[k] += of_taps[k];
    for (int l = 0; l < n_taps; ++l) sums[n_taps + k * n_taps + l] += of_pairs[k][l];
  }
}

// 16 floats, which the compiler lays out in the registers that there are.
typedef float Floats16 __attribute__((vector_size(64)));

template <int n_rows>
inline void fir_rows(const float* a, ptrdiff_t a_stride, const float* w, int n_taps, float* y) {
  constexpr int kVectors = kFirCols / 16;
  Floats16 sum[n_rows][kVectors] = {};
  for (int k = 0; k < n_taps; ++k) {
    Floats16 weight[kVectors];
    std::memcpy(weight, w + k * kFirCols, sizeof(weight));
    for (int i = 0; i < n_rows; ++i) {
      for (int v = 0; v < kVectors; ++v) sum[i][v] += weight[v] * a[i * a_stride + k];
    }
  }
  std::memcpy(y, sum, sizeof(sum));
}

// As many rows at once as there are registers for their sums.
template <int rows_at_once>
inline void fir(const float* a, ptrdiff_t a_stride, int n_rows, const float* w, int n_taps,
                float* y) {
  int i = 0;
  for (; i + rows_at_once <= n_rows; i += rows_at_once) {
    fir_rows<rows_at_once>(a + i * a_stride, a_stride, w, n_taps, y + i * kFirCols);
  }
  for (; i < n_rows; ++i) fir_rows<1>(a + i * a_stride, a_stride, w, n_taps, y + i * kFirCols);
}
