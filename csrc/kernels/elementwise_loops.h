// Loops of elementwise.h that the compiler vectorises.  The file of each instruction set includes
// them in its anonymous namespace and is compiled with its own flags.

// erf(z) = z P(z^2) / Q(z^2) on [-4, 4], a least-squares fit, weighted towards equal errors.
// At the limits it is exactly 1, so that gelu(-1e6) is 0.
inline float erf_inside(float z) {
  const float s = z * z;
  float p = 1.9748281374631915e-06f;
  p = p * s + 0.00028804136672988534f;
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
  return z * p / q;
}

// Clamps z to [-4, 4] by its bits, because compilers do not vectorise the comparison of floats.
inline float within_four(float z) {
  constexpr uint32_t kSign = 0x80000000;
  constexpr uint32_t kFour = 0x40800000;
  const auto bits = __builtin_bit_cast(uint32_t, z);
  const uint32_t size = bits & ~kSign;
  return __builtin_bit_cast(float, (bits & kSign) | (size < kFour ? size : kFour));
}

inline void gelu(const float* x, float* y, int64_t n) {
  constexpr float kSqrtHalf = 0.70710678118654752440f;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = 0.5f * x[i] * (1.0f + erf_inside(within_four(x[i] * kSqrtHalf)));
  }
}

inline void scale_i32(const int32_t* x, const float* scale, const float* bias, float* y,
                      int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = scale[i] * static_cast<float>(x[i]) + bias[i];
}

inline void scale_sums(const int32_t* x, int32_t step, const int32_t* offset, const float* scale,
                       const float* bias, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = scale[i] * static_cast<float>(step * x[i] + offset[i]) + bias[i];
  }
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

template <uint64_t (*at_least)(const int32_t*, const int32_t*, int)>
inline void pack_dots(const DotTile& tile, const int32_t* threshold, uint64_t* bits,
                      ptrdiff_t bits_stride) {
  const int32_t factor = tile.is_signed ? -2 : 2;
  for (int i = 0; i < tile.n_rows; ++i) {
    const int32_t* c = tile.counts + i * tile.stride;
    const int32_t offset = tile.offsets[i];
    int32_t dots[kFirCols];
    for (int j = 0; j < tile.n_cols; ++j) dots[j] = offset + factor * c[j];
    bits[i * bits_stride] = at_least(dots, threshold, tile.n_cols);
  }
}

// A sum in 16 lanes, which the compiler can vectorise without changing its order.
template <typename Term>
inline float sum_of(int n, Term&& term) {
  constexpr int kLanes = 16;
  float lane[kLanes] = {};
  int j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += term(j + l);
  }
  float total = 0;
  for (; j < n; ++j) total += term(j);
  for (float value : lane) total += value;
  return total;
}

inline void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y,
                       int n) {
  const auto n_values = static_cast<float>(n);
  const float mean = sum_of(n, [&](int j) { return x[j]; }) / n_values;
  const float square = sum_of(n, [&](int j) { return (x[j] - mean) * (x[j] - mean); });
  const float scale = 1.0f / __builtin_sqrtf(square / n_values + eps);
  for (int j = 0; j < n; ++j) y[j] = (x[j] - mean) * scale * weight[j] + bias[j];
}

inline void add(const float* a, const float* b, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

inline void add_moments(const float* x, ptrdiff_t stride, int64_t n_rows, int n_taps,
                        double* sums) {
  // Rows have a fixed width, so that the compiler keeps them in vectors.
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

template <int n_lanes>
struct Vector {
  typedef float Floats __attribute__((vector_size(4 * n_lanes)));
};

// A tile of rows and kVectors vectors of columns, whose sums fit the registers.
template <int n_rows, int n_lanes>
inline void fir_tile(const float* a, ptrdiff_t a_stride, const float* w, int n_taps, float* y) {
  using Floats = typename Vector<n_lanes>::Floats;
  constexpr int kVectors = 4;
  Floats sum[n_rows][kVectors] = {};
  for (int k = 0; k < n_taps; ++k) {
    Floats weight[kVectors];
    std::memcpy(weight, w + k * kFirCols, sizeof(weight));
    for (int i = 0; i < n_rows; ++i) {
      for (int v = 0; v < kVectors; ++v) sum[i][v] += weight[v] * a[i * a_stride + k];
    }
  }
  for (int i = 0; i < n_rows; ++i) std::memcpy(y + i * kFirCols, sum[i], sizeof(sum[i]));
}

template <int n_rows, int n_lanes, uint64_t (*at_least)(const float*, const float*, int)>
inline void fir_rows(const float* a, ptrdiff_t a_stride, const float* w, int n_taps,
                     const float* threshold, uint64_t* bits, ptrdiff_t bits_stride) {
  float y[n_rows * kFirCols];
  for (int j = 0; j < kFirCols; j += 4 * n_lanes) {
    fir_tile<n_rows, n_lanes>(a, a_stride, w + j, n_taps, y + j);
  }
  for (int i = 0; i < n_rows; ++i) {
    bits[i * bits_stride] = at_least(y + i * kFirCols, threshold, kFirCols);
  }
}

template <uint64_t (*at_least)(const float*, const float*, int)>
inline int64_t not_below(const float* x, float limit, int64_t n, uint64_t* bits) {
  float limits[64];
  for (float& one : limits) one = limit;
  int64_t n_ones = 0;
  const auto put = [&](int64_t i, uint64_t word) {
    n_ones += __builtin_popcountll(word);
    bits[i / 64] = word;
  };
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) put(i, at_least(x + i, limits, 64));
  if (i < n) put(i, at_least(x + i, limits, static_cast<int>(n % 64)));
  return n_ones;
}

template <int rows_at_once, int n_lanes, uint64_t (*at_least)(const float*, const float*, int)>
inline void fir_bits(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* w, int n_taps,
                     const float* threshold, uint64_t* bits, ptrdiff_t bits_stride) {
  int64_t i = 0;
  for (; i + rows_at_once <= n_rows; i += rows_at_once) {
    fir_rows<rows_at_once, n_lanes, at_least>(a + i * a_stride, a_stride, w, n_taps, threshold,
                                              bits + i * bits_stride, bits_stride);
  }
  for (; i < n_rows; ++i) {
    fir_rows<1, n_lanes, at_least>(a + i * a_stride, a_stride, w, n_taps, threshold,
                                   bits + i * bits_stride, bits_stride);
  }
}

// Number of vectors of columns that hides the latency of additions.
template <int n_vectors, int n_lanes>
inline void depthwise_tile(const float* x, const float* w, int64_t n_taps, ptrdiff_t stride,
                           const float* bias, float* y) {
  using Floats = typename Vector<n_lanes>::Floats;
  Floats sum[n_vectors];
  std::memcpy(sum, bias, sizeof(sum));
  for (int64_t k = 0; k < n_taps; ++k, x += stride, w += stride) {
    Floats value[n_vectors];
    Floats weight[n_vectors];
    std::memcpy(value, x, sizeof(value));
    std::memcpy(weight, w, sizeof(weight));
    for (int v = 0; v < n_vectors; ++v) sum[v] += weight[v] * value[v];
  }
  std::memcpy(y, sum, sizeof(sum));
}

template <int n_lanes>
inline void depthwise(const float* x, const float* w, int64_t n_taps, const float* bias, float* y,
                      int n) {
  int j = 0;
  for (; j + 4 * n_lanes <= n; j += 4 * n_lanes) {
    depthwise_tile<4, n_lanes>(x + j, w + j, n_taps, n, bias + j, y + j);
  }
  for (; j + n_lanes <= n; j += n_lanes) {
    depthwise_tile<1, n_lanes>(x + j, w + j, n_taps, n, bias + j, y + j);
  }
  for (; j < n; ++j) depthwise_tile<1, 1>(x + j, w + j, n_taps, n, bias + j, y + j);
}

inline void add_distances(const float* x, const float* from, float* sum, int n) {
  for (int j = 0; j < n; ++j) sum[j] += x[j] - from[j];
}

inline void add_squares(const float* x, const float* from, float* sum, int n) {
  for (int j = 0; j < n; ++j) sum[j] += (x[j] - from[j]) * (x[j] - from[j]);
}

inline void affine(const float* x, const float* gain, const float* offset, float* y, int n) {
  for (int j = 0; j < n; ++j) y[j] = x[j] * gain[j] + offset[j];
}

// Channels whose sums stay in registers over all taps.
template <int n_lanes>
inline void dots_of(const uint8_t* x, const int16_t* w, int n, int n_taps, int32_t* dots) {
  int32_t sum[n_lanes] = {};
  for (int k = 0; k < n_taps; ++k, x += n, w += n) {
    // The largest product, 255 * -128, fits into 16 bits, where a vector has twice the elementwise.
    for (int l = 0; l < n_lanes; ++l) sum[l] += static_cast<int16_t>(x[l] * w[l]);
  }
  for (int l = 0; l < n_lanes; ++l) dots[l] = sum[l];
}

inline void channel_dots(const uint8_t* x, const int16_t* w, int n, int n_taps, int32_t* dots) {
  int c = 0;
  for (; c + 32 <= n; c += 32) dots_of<32>(x + c, w + c, n, n_taps, dots + c);
  for (; c + 16 <= n; c += 16) dots_of<16>(x + c, w + c, n, n_taps, dots + c);
  for (; c < n; ++c) dots_of<1>(x + c, w + c, n, n_taps, dots + c);
}

// 1.5 * 2^23: adding x to it rounds x to an integer (halves to even) in the lowest bits.
constexpr float kRounding = 12582912.0f;

inline int32_t low_bits(float sum) {
  return __builtin_bit_cast(int32_t, sum) - __builtin_bit_cast(int32_t, kRounding);
}

inline void quantize(const float* x, const float* shift, float factor, float scale, int low,
                     int high, uint8_t* codes, int64_t n) {
  const auto least = static_cast<float>(low);
  const auto most = static_cast<float>(high);
  for (int64_t i = 0; i < n; ++i) {
    // Clamping before rounding is exact, because the limits are integers.
    float v = (factor * x[i] + shift[i]) / scale;
    v = v > least ? v : least;
    v = v < most ? v : most;
    codes[i] = static_cast<uint8_t>(low_bits(v + kRounding) - low);
  }
}
