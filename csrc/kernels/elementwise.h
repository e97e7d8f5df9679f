// Element-wise functions, one set per instruction set.
//
// All sets use the same formulas in the same order without fused multiply-add, so results are
// bit-identical.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

// A tile of counts of a binary product, and the offsets that convert counts to dots.
struct DotTile {
  const int32_t* counts;
  int stride;
  int n_rows;
  int n_cols;
  bool is_signed;
  const int32_t* offsets;
};

constexpr int kMaxTaps = 32;
constexpr int kFirCols = 64;

struct ElementwiseKernels {
  const char* name;
  Isa isa;

  // y[i] = x[i] * (1 + erf(x[i] / sqrt(2))) / 2; absolute error of erf below 5e-7.
  void (*gelu)(const float* x, float* y, int64_t n);

  // Bit i of the result is x[i] >= threshold[i], for n <= 64 values; NaN gives 0.
  uint64_t (*at_least_f32)(const float* x, const float* threshold, int n);
  uint64_t (*at_least_i32)(const int32_t* x, const int32_t* threshold, int n);

  // Bit i of `bits` is x[i] >= limit, for n values, 0 up to the end of a word; returns how many.
  int64_t (*not_below)(const float* x, float limit, int64_t n, uint64_t* bits);

  // y[i] = scale[i] * x[i] + bias[i], rounded after the product.
  void (*scale_i32)(const int32_t* x, const float* scale, const float* bias, float* y, int64_t n);

  // y[i] = scale[i] * (step * x[i] + offset[i]) + bias[i]: the dots of sums of codes, scaled.
  void (*scale_sums)(const int32_t* x, int32_t step, const int32_t* offset, const float* scale,
                     const float* bias, float* y, int64_t n);

  // `at_least_i32` and `scale_i32` for a tile: on the dots of counts c, offset[i] - 2 c[i][j] for
  // signed operands, else offset[i] + 2 c[i][j]; n <= 64 columns, one word or one row of y for
  // every row.  Offsets and thresholds lie within +-2^30.
  void (*pack_dots)(const DotTile& tile, const int32_t* threshold, uint64_t* bits,
                    ptrdiff_t bits_stride);
  void (*scale_dots)(const DotTile& tile, const float* scale, const float* bias, float* y,
                     ptrdiff_t y_stride);

  // y = (x - mean) / sqrt(variance + eps) * weight + bias over the n values of a row; y may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* y,
                     int n);

  // y[i] = a[i] + b[i]; y may be a or b.
  void (*add)(const float* a, const float* b, float* y, int64_t n);

  // One bits of n words.
  int64_t (*n_ones)(const uint64_t* words, int64_t n);

  // sums[k] += x_k, sums[n_taps + k * n_taps + l] += x_k x_l, x_k = x[t * stride + k], for
  // n_rows steps t, in their order.
  void (*add_moments)(const float* x, ptrdiff_t stride, int64_t n_rows, int n_taps, double* sums);

  // Bit j < kFirCols of bits[i * bits_stride] is y >= threshold[j], y the sum of
  // a[i * a_stride + k] * w[k][j] over k, in its order: a convolution of few taps.  NaN gives 0.
  void (*fir_bits)(const float* a, ptrdiff_t a_stride, int64_t n_rows, const float* w, int n_taps,
                   const float* threshold, uint64_t* bits, ptrdiff_t bits_stride);

  // y[j] = bias[j] + sum of w[k * n + j] * x[k * n + j] over k < n_taps, in its order, for n
  // columns.
  void (*depthwise)(const float* x, const float* w, int64_t n_taps, const float* bias, float* y,
                    int n);

  // Accumulates one row for a norm of columns: sum[j] += x[j] - from[j], and its square.
  void (*add_distances)(const float* x, const float* from, float* sum, int n);
  void (*add_squares)(const float* x, const float* from, float* sum, int n);

  // y[j] = x[j] * gain[j] + offset[j], rounded after the product; y may be x.
  void (*affine)(const float* x, const float* gain, const float* offset, float* y, int n);

  // dots[c] = sum over taps k of x[k * n + c] * w[k * n + c], for n channels: codes from 0 to 255
  // and weights from -128 to 127.
  void (*channel_dots)(const uint8_t* x, const int16_t* w, int n, int n_taps, int32_t* dots);

  // codes[i] = round((factor * x[i] + shift[i]) / scale) within [low, high], less low; every step
  // is rounded, halves go to even; 0 <= high - low <= 255.  NaN gives 0.
  void (*quantize)(const float* x, const float* shift, float factor, float scale, int low, int high,
                   uint8_t* codes, int64_t n);
};

// All sets of this build, the scalar one first.
const std::vector<const ElementwiseKernels*>& all_elementwise_kernels();

// The functions of an instruction set, or of the best lower one that has them.
const ElementwiseKernels& elementwise_kernels(Isa isa);

}  // namespace earbit
