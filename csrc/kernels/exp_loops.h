// The loops of exp.h, which the compiler vectorises by itself; each instruction set's file includes
// them into its own anonymous namespace and is compiled with its own flags.

constexpr int kExpLanes = 8;

// exp(x) = 2^n exp(r) with |r| <= ln(2) / 2; exp(r) is our own least-squares fit of its relative
// error, below 1e-7 in float32.  Arguments stay where the result is a normal number.
inline float exp_of(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  // ln(2) in two parts: n times the first is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440054690583e-4f;
  // Added to it, a number loses what is behind its point: the sum's last bits are n.
  constexpr float kRounder = 12582912.0f;
  const float z = x > 88.0f ? 88.0f : (x < -87.0f ? -87.0f : x);
  const float rounded = z * kLog2E + kRounder;
  const float n = rounded - kRounder;
  const float r = (z - n * kLn2High) - n * kLn2Low;
  float p = 0.001381421578116715f;
  p = p * r + 0.00836889911442995f;
  p = p * r + 0.04166840761899948f;
  p = p * r + 0.1666651964187622f;
  p = p * r + 0.4999999403953552f;
  p = p * (r * r) + r + 1.0f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(rounded) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}

inline void gate(const float* x, const float* by, float* y, int64_t n) {
  // Where exp stops to grow, a gate is closed, or gate(-3e38) would let something through.
  for (int64_t i = 0; i < n; ++i) y[i] = by[i] < -87.0f ? 0.0f : x[i] / (1.0f + exp_of(-by[i]));
}

inline void silu(const float* x, float* y, int64_t n) { gate(x, x, y, n); }

inline float most(const float* x, int64_t n) {
  float lane[kExpLanes];
  for (float& value : lane) value = x[0];
  int64_t i = 0;
  for (; i + kExpLanes <= n; i += kExpLanes) {
    for (int l = 0; l < kExpLanes; ++l) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  }
  for (; i < n; ++i) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
  float largest = lane[0];
  for (float value : lane) largest = value > largest ? value : largest;
  return largest;
}

inline float exp_below(float* x, float most, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = exp_of(x[i] - most);
  float lane[kExpLanes] = {};
  int64_t i = 0;
  for (; i + kExpLanes <= n; i += kExpLanes) {
    for (int l = 0; l < kExpLanes; ++l) lane[l] += x[i + l];
  }
  float sum = 0.0f;
  for (; i < n; ++i) sum += x[i];
  for (float value : lane) sum += value;
  return sum;
}

inline void weighted_sum(const int32_t* x, const int32_t* z, float a, float b, float* y,
                         int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = a * static_cast<float>(x[i]) + b * static_cast<float>(z[i]);
  }
}
