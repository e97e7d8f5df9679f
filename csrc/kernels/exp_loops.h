// Loops of exp.h in vectors of kVectorLanes floats.  The file of each instruction set defines
// kVectorLanes and kAtOnce (how many vectors of `gate` and `most` hide each other's latency),
// includes them in its anonymous namespace and is compiled with its own flags.

typedef float Floats __attribute__((vector_size(4 * kVectorLanes)));
typedef int32_t Counts __attribute__((vector_size(4 * kVectorLanes)));
typedef uint32_t Integers __attribute__((vector_size(4 * kVectorLanes)));

// Number of lanes of sums, equal for all instruction sets.
constexpr int kSumLanes = 16;
constexpr int kVectors = kSumLanes / kVectorLanes;

inline Floats floats_at(const float* x) {
  Floats value;
  std::memcpy(&value, x, sizeof(value));
  return value;
}

inline Floats counts_at(const int32_t* x) {
  Counts value;
  std::memcpy(&value, x, sizeof(value));
  return __builtin_convertvector(value, Floats);
}

inline void store(Floats value, float* y) { std::memcpy(y, &value, sizeof(value)); }

// The same of the first n lanes; the others are 0.
inline Floats floats_at(const float* x, int64_t n) {
  Floats value = {};
  std::memcpy(&value, x, static_cast<size_t>(n) * sizeof(float));
  return value;
}

inline void store(Floats value, float* y, int64_t n) {
  std::memcpy(y, &value, static_cast<size_t>(n) * sizeof(float));
}

// exp(x) = 2^n exp(r) with |r| <= ln(2) / 2; exp(r) is a least-squares fit of its relative
// error, below 1e-7 in float32.  For -87 <= x <= 88, where the result is a normal number.
inline Floats exp_inside(Floats x) {
  constexpr float kLog2E = 1.44269504088896341f;
  // ln(2) in two parts: n times the first is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440054690583e-4f;
  // Adding it rounds a number to an integer: the lowest bits of the sum are n.
  constexpr float kRounder = 12582912.0f;
  const Floats rounded = x * kLog2E + kRounder;
  const Floats n = rounded - kRounder;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats p = r * 0.001381421578116715f + 0.00836889911442995f;
  p = p * r + 0.04166840761899948f;
  p = p * r + 0.1666651964187622f;
  p = p * r + 0.4999999403953552f;
  p = p * (r * r) + r + 1.0f;
  const Integers exponent = (reinterpret_cast<Integers>(rounded) + 127u) << 23;
  return p * reinterpret_cast<Floats>(exponent);
}

inline Floats exp_of(Floats x) {
  const Floats most = Floats{} + 88.0f;
  const Floats least = Floats{} - 87.0f;
  const Floats below = x > most ? most : x;
  return exp_inside(below < least ? least : below);
}

// The same for x <= 0, whose bits as integers increase with |x|.  A loop over lanes, because
// compilers make two instructions of a selection between vectors.
inline Floats exp_of_negative(Floats x) {
  constexpr uint32_t kLeast = 0xc2ae0000;  // of -87
  Integers bits = reinterpret_cast<Integers>(x);
  for (int l = 0; l < kVectorLanes; ++l) bits[l] = bits[l] < kLeast ? bits[l] : kLeast;
  return exp_inside(reinterpret_cast<Floats>(bits));
}

inline Floats gated(Floats x, Floats by) {
  // Beyond the range of exp the gate is 0, so that gate(-3e38) is exactly 0.
  return by < Floats{} - 87.0f ? Floats{} : x / (1.0f + exp_of(-by));
}

inline void gate(const float* x, const float* by, float* y, int64_t n) {
  int64_t i = 0;
  const auto gate_vectors = [&]<int... v>(std::integer_sequence<int, v...>) {
    constexpr int64_t kLanes = kVectorLanes * sizeof...(v);
    for (; i + kLanes <= n; i += kLanes) {
      const Floats values[] = {
          gated(floats_at(x + i + v * kVectorLanes), floats_at(by + i + v * kVectorLanes))...};
      (store(values[v], y + i + v * kVectorLanes), ...);
    }
  };
  if (kAtOnce > 1) gate_vectors(std::make_integer_sequence<int, kAtOnce>());
  gate_vectors(std::make_integer_sequence<int, 1>());
  if (i < n) store(gated(floats_at(x + i, n - i), floats_at(by + i, n - i)), y + i, n - i);
}

inline void silu(const float* x, float* y, int64_t n) { gate(x, x, y, n); }

// The largest lane, or a number that is larger.
inline float largest_of(Floats lanes, float result) {
  for (int l = 0; l < kVectorLanes; ++l) result = lanes[l] > result ? lanes[l] : result;
  return result;
}

inline Floats larger(Floats some, Floats largest) { return some > largest ? some : largest; }

inline float most(const float* x, int64_t n) {
  Floats largest = Floats{} + x[0];
  int64_t i = 0;
  if constexpr (kAtOnce > 1) {
    Floats each[kAtOnce];
    for (Floats& one : each) one = largest;
    for (; i + kAtOnce * kVectorLanes <= n; i += kAtOnce * kVectorLanes) {
      for (int v = 0; v < kAtOnce; ++v)
        each[v] = larger(floats_at(x + i + v * kVectorLanes), each[v]);
    }
    for (const Floats& one : each) largest = larger(one, largest);
  }
  for (; i + kVectorLanes <= n; i += kVectorLanes) largest = larger(floats_at(x + i), largest);
  float result = x[0];
  for (; i < n; ++i) result = x[i] > result ? x[i] : result;
  return largest_of(largest, result);
}

// The first n lanes of a value, and 0.
inline Floats first_of(Floats value, int64_t n) {
  Integers lane;
  for (int l = 0; l < kVectorLanes; ++l) lane[l] = static_cast<uint32_t>(l);
  return lane < Integers{} + static_cast<uint32_t>(n) ? value : Floats{};
}

inline float exp_below(float* x, float most, int64_t n) {
  Floats sums[kVectors] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (int v = 0; v < kVectors; ++v) {
      const Floats value = exp_of_negative(floats_at(x + i + v * kVectorLanes) - most);
      store(value, x + i + v * kVectorLanes);
      sums[v] += value;
    }
  }
  for (int v = 0; v < kVectors && i < n; ++v, i += kVectorLanes) {
    const int64_t rest = n - i < kVectorLanes ? n - i : kVectorLanes;
    const Floats value = first_of(exp_of_negative(floats_at(x + i, rest) - most), rest);
    store(value, x + i, rest);
    sums[v] += value;
  }
  float lane[kSumLanes];
  std::memcpy(lane, sums, sizeof(lane));
  for (int width = kSumLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}

inline void scores(const ScaledDots& dots, float* y, int64_t n) {
  // A local copy cannot alias y, so that the compiler can vectorise.
  const ScaledDots x = dots;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<float>(x.step * x.sums[i] + x.offset[i]) * x.left_scale * x.right_scale;
  }
}

inline void divide(float* x, float by, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] /= by;
}

inline float weighted_sum(const int32_t* x, const int32_t* z, float a, float b, float* y,
                          int64_t n) {
  const float first = a * static_cast<float>(x[0]) + b * static_cast<float>(z[0]);
  Floats largest = Floats{} + first;
  int64_t i = 0;
  for (; i + kVectorLanes <= n; i += kVectorLanes) {
    const Floats sum = a * counts_at(x + i) + b * counts_at(z + i);
    largest = larger(sum, largest);
    store(sum, y + i);
  }
  float result = first;
  for (; i < n; ++i) {
    y[i] = a * static_cast<float>(x[i]) + b * static_cast<float>(z[i]);
    result = y[i] > result ? y[i] : result;
  }
  return largest_of(largest, result);
}

inline void add_dots(const ScaledDots& a, const ScaledDots& b, float* y, int64_t n) {
  // Copies, as in `scores`.
  const ScaledDots x = a;
  const ScaledDots z = b;
  for (int64_t i = 0; i < n; ++i) {
    const auto left = static_cast<float>(x.step * x.sums[i] + x.offset[i]);
    const auto right = static_cast<float>(z.step * z.sums[i] + z.offset[i]);
    y[i] = left * x.left_scale * x.right_scale + right * z.left_scale * z.right_scale;
  }
}
