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

inline int32_t least_i32(const int32_t* x, int64_t n) {
  int32_t least = x[0];
  for (int64_t i = 1; i < n; ++i) least = x[i] < least ? x[i] : least;
  return least;
}

inline void scale_i32(const int32_t* x, const float* scale, const float* bias, float* y,
                      int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = scale[i] * static_cast<float>(x[i]) + bias[i];
}
