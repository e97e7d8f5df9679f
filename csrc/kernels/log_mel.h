// Log mel energies of frames of samples: window, power spectrum, sums over bins, logarithm.
//
// A lane of a vector holds a frame, so all sets compute the same operations in the same order
// without fused multiply-add, and results are bit-identical for any number of lanes.
//
// With h = fft / 2 and W = exp(-2 pi i / fft), the spectrum of x follows from the complex transform
// Z of z[j] = x[2 j] + i x[2 j + 1], of size h, for k = 0 to h / 2:
//   E = Z[k] + conj Z[h - k],  O = W^k (Z[k] - conj Z[h - k]) / i,
//   2 X[k] = E + O,            2 conj X[h - k] = E - O.
// Z is computed in place, in radix-4 passes (the first one is of radix 2 if h is no power of 4), of
// z in the order of reversed digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

constexpr int kMinFft = 16;
constexpr int kMaxFft = 4096;

// Bins of a mel energy: weights `weight` to `weight + count - 1` times `first` to
// `first + count - 1`.
struct MelBins {
  int32_t first;
  int32_t count;
  int32_t weight;
};

struct LogMelTables {
  int window;  // samples of a frame
  int fft;     // a power of two from kMinFft to kMaxFft
  int n_mels;
  int first_pass;            // radix of the first pass, 2 or 4
  float floor;               // added to energies, a normal number above 0
  const float* half;         // half the weight of each sample, and 0 up to fft
  const int32_t* places;     // of z[j] in the order of the first pass, fft / 2
  const float* twiddles;     // cos, sin of W^k, W^2k, W^3k, pass by pass, for the k of a pass
  const float* of_spectrum;  // cos, sin of W^k, k = 0 to fft / 4
  const MelBins* bins;       // n_mels
  const float* weights;      // 0 or above
};

// Builds and owns tables.
class LogMelPlan {
 public:
  // taper: weights of the 1 to fft samples of a frame; first: bin of the first weight of each
  // energy; weights: (n_mels, width), for bins up to fft / 2.
  LogMelPlan(std::vector<float> taper, int fft, const std::vector<int32_t>& first,
             const float* weights, int width, float floor);
  LogMelPlan(const LogMelPlan&) = delete;
  LogMelPlan& operator=(const LogMelPlan&) = delete;

  const LogMelTables& tables() const { return tables_; }

 private:
  std::vector<float> half_;
  std::vector<int32_t> places_;
  std::vector<float> twiddles_;
  std::vector<float> of_spectrum_;
  std::vector<MelBins> bins_;
  std::vector<float> weights_;
  LogMelTables tables_;
};

struct LogMelKernel {
  const char* name;
  Isa isa;
  int lanes;

  // y: (n_frames, n_mels) for 0 < n_frames <= lanes.  Frame i is the `window` samples from
  // x + i * stride.  scratch: (fft + 2) * lanes floats, aligned to a vector.
  void (*run)(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames, float* y,
              float* scratch);
};

// All kernels of this build, the scalar one first.
const std::vector<LogMelKernel>& log_mel_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const LogMelKernel& log_mel_kernel(Isa isa);

}  // namespace earbit
