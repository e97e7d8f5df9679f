// Element-wise loops that run over many values, one set of functions per instruction set.
//
// The same formulas in the same order and without fused multiply-add, so every instruction set
// gives the same bits.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

struct LaneKernels {
  const char* name;
  Isa isa;

  // y[i] = x[i] * (1 + erf(x[i] / sqrt(2))) / 2; absolute error of erf below 5e-7.
  void (*gelu)(const float* x, float* y, int64_t n);

  // Bit i of the result is x[i] >= threshold[i], for n <= 64 values; NaN gives 0.
  uint64_t (*at_least_f32)(const float* x, const float* threshold, int n);
  uint64_t (*at_least_i32)(const int32_t* x, const int32_t* threshold, int n);

  // The least of n > 0 numbers.
  int32_t (*least_i32)(const int32_t* x, int64_t n);

  // y[i] = scale[i] * x[i] + bias[i], rounded after the product.
  void (*scale_i32)(const int32_t* x, const float* scale, const float* bias, float* y, int64_t n);

  // codes[i] = round((factor * x[i] + shift[i]) / scale) within [low, high], less low; every step
  // is rounded, halves go to even; 0 <= high - low <= 255.  NaN gives 0.
  void (*quantize)(const float* x, const float* shift, float factor, float scale, int low, int high,
                   uint8_t* codes, int64_t n);

  // The greatest of n > 0 numbers.
  int32_t (*largest_i32)(const int32_t* x, int64_t n);

  // y[i] = exp(scale * (x[i] - largest)) for scale > 0 and x[i] <= largest, whose difference is an
  // int32.  Relative error of exp itself below 5e-7; what is below exp(-87) becomes that.
  void (*exp_i32)(const int32_t* x, int32_t largest, float scale, float* y, int64_t n);
};

// Every set that was built, the scalar one first.
const std::vector<const LaneKernels*>& all_lane_kernels();

// The functions of an instruction set, or of the best lower one that has them.
const LaneKernels& lane_kernels(Isa isa);

}  // namespace earbit
