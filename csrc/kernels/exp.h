// Element-wise functions that use exp, one set per instruction set.
//
// As in elementwise.h, all sets use the same formulas in the same order without fused multiply-add,
// so results are bit-identical.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

// Dots of codes: (step * sums[i] + offset[i]) * left_scale * right_scale, rounded after every step.
struct ScaledDots {
  const int32_t* sums;
  const int32_t* offset;
  int32_t step;
  float left_scale;
  float right_scale;
};

struct ExpKernels {
  const char* name;
  Isa isa;

  // y[i] = x[i] / (1 + exp(-x[i])).
  void (*silu)(const float* x, float* y, int64_t n);

  // y[i] = x[i] / (1 + exp(-gate[i])).
  void (*gate)(const float* x, const float* gate, float* y, int64_t n);

  // The largest of n > 0 numbers.
  float (*most)(const float* x, int64_t n);

  // x[i] becomes exp(x[i] - most), for x[i] <= most; returns their sum, always in the same order.
  float (*exp_below)(float* x, float most, int64_t n);

  // y[i] = dots[i]: scores.
  void (*scores)(const ScaledDots& dots, float* y, int64_t n);

  // x[i] /= by.
  void (*divide)(float* x, float by, int64_t n);

  // y[i] = a x[i] + b z[i], rounded after every step, for n > 0; returns the largest.
  float (*weighted_sum)(const int32_t* x, const int32_t* z, float a, float b, float* y, int64_t n);

  // y[i] = a[i] + b[i].
  void (*add_dots)(const ScaledDots& a, const ScaledDots& b, float* y, int64_t n);
};

// All sets of this build, the scalar one first.
const std::vector<const ExpKernels*>& all_exp_kernels();

// The functions of an instruction set, or of the best lower one that has them.
const ExpKernels& exp_kernels(Isa isa);

}  // namespace earbit
