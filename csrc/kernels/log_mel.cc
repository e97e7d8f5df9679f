#include "kernels/log_mel.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, lanes, name)                                                                  \
  void name(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames, float* y, \
            float* scratch);
#include "kernels/log_mel.def"
#undef KERNEL

const std::vector<LogMelKernel>& log_mel_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<LogMelKernel>{
#define KERNEL(isa, lanes, name) {#name, Isa::isa, lanes, name},
#include "kernels/log_mel.def"
#undef KERNEL
  };
  return kernels;
}

const LogMelKernel& log_mel_kernel(Isa isa) { return best_of(log_mel_kernels(), isa); }

namespace {

struct Rotation {
  double cos;
  double sin;
};

// The angle 2 pi k / n, for n a power of two, as a product of rotations by 2 pi / 2^i, which are
// halved from each other.  Square roots and products have the same bits everywhere, unlike the sine
// of a C library.
Rotation rotation(int k, int n) {
  Rotation product{1.0, 0.0};
  Rotation root{-1.0, 0.0};  // 2 pi / 2
  for (int bit = n / 2; bit > 0; bit /= 2) {
    if ((k & bit) != 0) {
      product = {product.cos * root.cos - product.sin * root.sin,
                 product.cos * root.sin + product.sin * root.cos};
    }
    const double half = std::sqrt((1 + root.cos) / 2);
    root = {half, bit == n / 2 ? 1.0 : root.sin / (2 * half)};
  }
  return product;
}

void append(std::vector<float>& table, int k, int n) {
  const Rotation turn = rotation(k, n);
  table.push_back(static_cast<float>(turn.cos));
  table.push_back(static_cast<float>(turn.sin));
}

// Place of z[j] among n: its residue modulo 4 selects the quarter, and so on.
int place(int j, int n) {
  int first = 0;
  while (n >= 4) {
    n /= 4;
    first += j % 4 * n;
    j /= 4;
  }
  return first + j;
}

}  // namespace

LogMelPlan::LogMelPlan(std::vector<float> taper, int fft, const std::vector<int32_t>& first,
                       const float* weights, int width, float floor)
    : half_(std::move(taper)) {
  const int n_window = static_cast<int>(half_.size());
  half_.resize(fft, 0.0f);
  for (float& sample : half_) sample *= 0.5f;
  const int h = fft / 2;
  for (int j = 0; j < h; ++j) places_.push_back(place(j, h));
  int first_pass = 4;
  while (first_pass < h) first_pass *= 4;
  first_pass = first_pass == h ? 4 : 2;
  for (int m = first_pass; m < h; m *= 4) {
    for (int k = 0; k < m; ++k) {
      for (int power = 1; power < 4; ++power) append(twiddles_, power * k, 4 * m);
    }
  }
  for (int k = 0; k <= h / 2; ++k) append(of_spectrum_, k, fft);
  for (size_t mel = 0; mel < first.size(); ++mel) {
    // Bins of weight 0 at both ends are left out.
    const float* begin = weights + mel * width;
    const float* end = begin + width;
    const auto is_used = [](float weight) { return weight > 0; };
    const float* used = std::find_if(begin, end, is_used);
    while (end > used && !is_used(end[-1])) --end;
    bins_.push_back({used == end ? 0 : first[mel] + static_cast<int32_t>(used - begin),
                     static_cast<int32_t>(end - used), static_cast<int32_t>(weights_.size())});
    weights_.insert(weights_.end(), used, end);
  }
  tables_ = {n_window,
             fft,
             static_cast<int>(bins_.size()),
             first_pass,
             floor,
             half_.data(),
             places_.data(),
             twiddles_.data(),
             of_spectrum_.data(),
             bins_.data(),
             weights_.data()};
}

}  // namespace earbit
