// log_mel in vectors of kLanes frames.  The file of each instruction set defines kLanes and
// kBinsAtOnce (how many products of an energy are computed before they are added), includes the
// loops in its anonymous namespace and is compiled with its own flags.

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));

struct Complex {
  Floats re;
  Floats im;
};

// Lanes `index` of a and b, one after the other.
template <int... index>
inline Floats lanes_of(Floats a, Floats b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, index...);
#else
  return __builtin_shuffle(a, b, Integers{index...});
#endif
}

// Every four lanes of a and b, interleaved: the lower halves, or the upper ones.
template <int upper, int... lane>
inline Floats interleaved(Floats a, Floats b, std::integer_sequence<int, lane...>) {
  return lanes_of<(lane / 4 * 4 + lane % 4 / 2 + lane % 2 * kLanes + 2 * upper)...>(a, b);
}

// Blocks of n lanes of a and b, alternating: the first of every two, or the second ones.
template <int n, int second, int... lane>
inline Floats blocks(Floats a, Floats b, std::integer_sequence<int, lane...>) {
  return lanes_of<((lane & n) != 0 ? lane + kLanes - (second ? 0 : n)
                                   : lane + (second ? n : 0))...>(a, b);
}

template <int n>
inline void exchange_blocks(Floats* rows) {
  constexpr std::make_integer_sequence<int, kLanes> kAll;
  if constexpr (n < kLanes) {
    for (int i = 0; i < kLanes; ++i) {
      if ((i & n) != 0) continue;
      const Floats a = rows[i];
      const Floats b = rows[i + n];
      rows[i] = blocks<n, 0>(a, b, kAll);
      rows[i + n] = blocks<n, 1>(a, b, kAll);
    }
    exchange_blocks<2 * n>(rows);
  }
}

// Transposes a matrix of kLanes rows: first every 4 x 4 block, then the blocks.
inline void transpose(Floats* rows) {
  constexpr std::make_integer_sequence<int, kLanes> kAll;
  for (int i = 0; i < kLanes; i += 4) {
    const Floats a = interleaved<0>(rows[i], rows[i + 2], kAll);
    const Floats b = interleaved<0>(rows[i + 1], rows[i + 3], kAll);
    const Floats c = interleaved<1>(rows[i], rows[i + 2], kAll);
    const Floats d = interleaved<1>(rows[i + 1], rows[i + 3], kAll);
    rows[i] = interleaved<0>(a, b, kAll);
    rows[i + 1] = interleaved<1>(a, b, kAll);
    rows[i + 2] = interleaved<0>(c, d, kAll);
    rows[i + 3] = interleaved<1>(c, d, kAll);
  }
  exchange_blocks<4>(rows);
}

// Samples i to i + kLanes - 1 of every frame, 0 behind the window: row j holds sample i + j.
inline void load_samples(const float* const* frames, int i, int window, Floats* rows) {
  if (i + kLanes > window) {
    for (int l = 0; l < kLanes; ++l) rows[l] = Floats{};
    if (i >= window) return;
    const size_t n_bytes = static_cast<size_t>(window - i) * sizeof(float);
    for (int l = 0; l < kLanes; ++l) std::memcpy(&rows[l], frames[l] + i, n_bytes);
  } else {
    for (int l = 0; l < kLanes; ++l) std::memcpy(&rows[l], frames[l] + i, sizeof(Floats));
  }
  transpose(rows);
}

// Tapered samples as complex numbers in the order of the first pass.
inline void load(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames,
                 Complex* z) {
  // Lanes without a frame repeat the last one.
  const float* frames[kLanes];
  for (int l = 0; l < kLanes; ++l) frames[l] = x + (l < n_frames ? l : n_frames - 1) * stride;
  for (int i = 0; i < tables.fft; i += kLanes) {
    Floats rows[kLanes];
    load_samples(frames, i, tables.window, rows);
    const float* half = tables.half + i;
    for (int j = 0; j < kLanes; j += 2) {
      z[tables.places[(i + j) / 2]] = {rows[j] * half[j], rows[j + 1] * half[j + 1]};
    }
  }
}

inline void pass_of_two(Complex* z, int n) {
  for (Complex* end = z + n; z < end; z += 2) {
    const Complex a = z[0];
    const Complex b = z[1];
    z[0] = {a.re + b.re, a.im + b.im};
    z[1] = {a.re - b.re, a.im - b.im};
  }
}

// Four numbers, m apart, become their transform.
inline void transform_four(Complex a, Complex b, Complex c, Complex d, Complex* z, ptrdiff_t m) {
  const Complex sum = {a.re + c.re, a.im + c.im};
  const Complex difference = {a.re - c.re, a.im - c.im};
  const Complex odd_sum = {b.re + d.re, b.im + d.im};
  const Complex odd_difference = {b.re - d.re, b.im - d.im};
  z[0] = {sum.re + odd_sum.re, sum.im + odd_sum.im};
  z[m] = {difference.re + odd_difference.im, difference.im - odd_difference.re};
  z[2 * m] = {sum.re - odd_sum.re, sum.im - odd_sum.im};
  z[3 * m] = {difference.re - odd_difference.im, difference.im + odd_difference.re};
}

// a times the conjugate of the rotation w: cosine, sine.
inline Complex turned(Complex a, const float* w) {
  return {a.re * w[0] + a.im * w[1], a.im * w[0] - a.re * w[1]};
}

inline void transform(const LogMelTables& tables, Complex* z) {
  const int n = tables.fft / 2;
  if (tables.first_pass == 4) {
    for (Complex* four = z; four < z + n; four += 4) {
      transform_four(four[0], four[1], four[2], four[3], four, 1);
    }
  } else {
    pass_of_two(z, n);
  }
  const float* w = tables.twiddles;
  for (int m = tables.first_pass; m < n; m *= 4) {
    for (int k = 0; k < m; ++k, w += 6) {
      for (Complex* four = z + k; four < z + n; four += 4 * m) {
        transform_four(four[0], turned(four[m], w), turned(four[2 * m], w + 2),
                       turned(four[3 * m], w + 4), four, m);
      }
    }
  }
}

// The real parts of z[0] to z[fft / 2] become powers of the bins.
inline void powers(const LogMelTables& tables, Complex* z) {
  const int h = tables.fft / 2;
  for (int k = 0; k <= h / 2; ++k) {
    const Complex a = z[k];
    const Complex b = z[(h - k) & (h - 1)];
    const Complex even = {a.re + b.re, a.im - b.im};
    const Complex odd = turned({a.im + b.im, b.re - a.re}, tables.of_spectrum + 2 * k);
    const Complex sum = {even.re + odd.re, even.im + odd.im};
    const Complex difference = {even.re - odd.re, even.im - odd.im};
    z[k].re = sum.re * sum.re + sum.im * sum.im;
    z[h - k].re = difference.re * difference.re + difference.im * difference.im;
  }
}

// log(x) of a normal number x > 0: x = 2^n (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and
// log(1 + f) = f - f^2 / 2 + f^3 P(f), P a fit of its largest error.  The relative error is below
// 1e-7.  Infinity stays, anything else is NaN.
inline Floats log_of(Floats x) {
  constexpr int32_t kSqrtHalf = 0x3f3504f3;
  // ln(2) in two parts: n times the first is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440054690583e-4f;
  constexpr float kInfinity = __builtin_inff();
  const Integers bits = reinterpret_cast<Integers>(x);
  const Integers exponent = (bits - kSqrtHalf) >> 23;
  const Floats f = reinterpret_cast<Floats>(bits - (exponent << 23)) - 1.0f;
  const Floats n = __builtin_convertvector(exponent, Floats);
  Floats p = f * -0.07634389400482178f + 0.12761537730693817f;
  p = p * f - 0.13160203397274017f;
  p = p * f + 0.1420176476240158f;
  p = p * f - 0.16623355448246002f;
  p = p * f + 0.20001226663589478f;
  p = p * f - 0.250008225440979f;
  p = p * f + 0.3333333134651184f;
  const Floats square = f * f;
  const Floats y = ((p * (square * f) + n * kLn2Low) - 0.5f * square) + f + n * kLn2High;
  const Floats beyond = x == kInfinity ? x : Floats{} + __builtin_nanf("");
  return x < kInfinity ? y : beyond;
}

inline void log_mel(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames,
                    float* y, float* scratch) {
  auto* z = reinterpret_cast<Complex*>(scratch);
  load(tables, x, stride, n_frames, z);
  transform(tables, z);
  powers(tables, z);
  for (int mel = 0; mel < tables.n_mels; mel += kLanes) {
    const int n = tables.n_mels - mel < kLanes ? tables.n_mels - mel : kLanes;
    Floats rows[kLanes] = {};
    for (int j = 0; j < n; ++j) {
      const MelBins bins = tables.bins[mel + j];
      Floats energy = {};
      int b = 0;
      if constexpr (kBinsAtOnce > 1) {
        for (; b + kBinsAtOnce <= bins.count; b += kBinsAtOnce) {
          Floats parts[kBinsAtOnce];
          for (int i = 0; i < kBinsAtOnce; ++i) {
            parts[i] = z[bins.first + b + i].re * tables.weights[bins.weight + b + i];
          }
          for (const Floats& part : parts) energy += part;
        }
      }
      for (; b < bins.count; ++b) {
        energy += z[bins.first + b].re * tables.weights[bins.weight + b];
      }
      rows[j] = energy + tables.floor;
    }
    // All at once, because each one waits for its own steps.
    for (Floats& row : rows) row = log_of(row);
    transpose(rows);
    for (int l = 0; l < n_frames; ++l) {
      std::memcpy(y + static_cast<ptrdiff_t>(l) * tables.n_mels + mel, &rows[l],
                  static_cast<size_t>(n) * sizeof(float));
    }
  }
}
