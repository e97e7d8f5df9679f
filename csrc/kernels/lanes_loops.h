// The loops of lanes.h that the compiler vectorises by itself; each instruction set's file includes
// them into its own anonymous namespace and is compiled with its own flags.

// erf(z) = z P(z^2) / Q(z^2) on [-4, 4], our own least-squares fit, weighted towards equal errors.
inline float erf_inside(float z) {
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
  return z * p / q;
}

inline void gelu(const float* x, float* y, int64_t n) {
  constexpr float kSqrtHalf = 0.70710678118654752440f;
  // Limits in loops of their own: beside the formula, the compiler makes cases of them, and then no
  // vectors.
  constexpr int64_t kBlock = 64;
  float z[kBlock];
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t size = n - first < kBlock ? n - first : kBlock;
    for (int64_t i = 0; i < size; ++i) {
      const float v = x[first + i] * kSqrtHalf;
      z[i] = v > 4.0f ? 4.0f : (v < -4.0f ? -4.0f : v);
    }
    for (int64_t i = 0; i < size; ++i) z[i] = erf_inside(z[i]);
    for (int64_t i = 0; i < size; ++i) {
      // Beyond, erf is 1 to float32 precision, and exactly 1, or gelu(-1e6) would not be 0.
      const float v = x[first + i] * kSqrtHalf;
      z[i] = v > 4.0f ? 1.0f : (v < -4.0f ? -1.0f : z[i]);
    }
    for (int64_t i = 0; i < size; ++i) y[first + i] = 0.5f * x[first + i] * (1.0f + z[i]);
  }
}

inline int32_t least_i32(const int32_t* x, int64_t n) {
  int32_t least = x[0];
  for (int64_t i = 1; i < n; ++i) least = x[i] < least ? x[i] : least;
  return least;
}

inline void scale_i32(const int32_t* x, const float* scale, const float* bias, float* y,
                      int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = scale[i] * static_cast<float>(x[i]) + bias[i];
}

// 1.5 * 2^23: what is added to it is rounded to an integer, halves to even, in its lowest bits.
constexpr float kRounding = 12582912.0f;

inline int32_t low_bits(float sum) {
  return __builtin_bit_cast(int32_t, sum) - __builtin_bit_cast(int32_t, kRounding);
}

inline void quantize(const float* x, const float* shift, float factor, float scale, int low,
                     int high, uint8_t* codes, int64_t n) {
  const auto least = static_cast<float>(low);
  const auto most = static_cast<float>(high);
  for (int64_t i = 0; i < n; ++i) {
    // The ends are integers, so it does not matter that they come before rounding.
    float v = (factor * x[i] + shift[i]) / scale;
    v = v > least ? v : least;
    v = v < most ? v : most;
    codes[i] = static_cast<uint8_t>(low_bits(v + kRounding) - low);
  }
}

inline int32_t largest_i32(const int32_t* x, int64_t n) {
  int32_t largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// exp(z) for -87 <= z <= 0: 2^n times the Taylor series of the rest, which is at most ln(2) / 2.
inline float exp_of(float z) {
  const float shifted = z * 1.44269504088896341f + kRounding;
  const float whole = shifted - kRounding;
  // ln(2) in two parts, the first with few digits, so that its product with `whole` is exact.
  const float r = (z - whole * 0.693359375f) + whole * 2.12194440054690583e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * __builtin_bit_cast(float, (low_bits(shifted) + 127) << 23);
}

inline void exp_i32(const int32_t* x, int32_t largest, float scale, float* y, int64_t n) {
  // Two loops: in one, the compiler makes the limit a case of its own, and no vectors.
  for (int64_t i = 0; i < n; ++i) {
    const float z = scale * static_cast<float>(x[i] - largest);
    y[i] = z > -87.0f ? z : -87.0f;
  }
  for (int64_t i = 0; i < n; ++i) y[i] = exp_of(y[i]);
}
