// Quantized softmax of scores and its product with the values, for all attention ops on codes.
//
// The code of a probability p is min(round(p / prob_scale), 2^prob_bits - 1), and
// context = (codes . v) * prob_scale * v_scale.  Integers are exact, and floats are summed in a
// fixed order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/view.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_i8.h"
#include "ops/attention_scales.h"
#include "ops/keys_i8.h"

namespace earbit {

// Codes of the probabilities of a few rows of one head, and buffers for their product with the
// values.
struct CodeRows {
  CodeRows(const PanelsI8& values, int64_t n_keys)
      : n_keys(n_keys),
        codes(static_cast<size_t>(values.kernel().rows * n_keys)),
        no_shift(n_keys),
        context(static_cast<size_t>(values.kernel().rows) * values.padded_cols()) {}

  uint8_t* row(int i) { return codes.data() + i * n_keys; }

  int64_t n_keys;
  std::vector<uint8_t> codes;    // (rows, n_keys)
  std::vector<float> no_shift;   // zeros
  std::vector<int32_t> context;  // (rows, columns of value panels)
};

class ContextI8 {
 public:
  // Heads of d columns each.
  ContextI8(Attributes& attributes, int d)
      : d_(d),
        prob_set_{attributes.integer("prob_bits", 1, kMaxCodeBits), true},
        prob_scale_(probability_step_of(attributes, "prob_scale")),
        v_scale_(attributes.positive("v_scale")),
        exp_(exp_kernels(chosen_isa())),
        elementwise_(elementwise_kernels(chosen_isa())) {}

  // Values of a head in the layout of weights, for products with probabilities.
  PanelsI8 values_of(const View& v, int head) const { return value_panels(v, head, d_); }

  // Computes the codes of the probabilities of n > 0 keys; overwrites scores with probabilities.
  void softmax(float* scores, int64_t n, const CodeRows& rows, uint8_t* codes) const {
    const float sum = exp_.exp_below(scores, exp_.most(scores, n), n);
    to_codes(scores, sum, n, rows.no_shift.data(), codes);
  }

  // Computes the codes of weights[i] / sum and overwrites weights with it.  no_shift: n zeros.
  void to_codes(float* weights, float sum, int64_t n, const float* no_shift, uint8_t* codes) const {
    exp_.divide(weights, sum, n);
    elementwise_.quantize(weights, no_shift, 1.0f, prob_scale_, 0, prob_set_.largest(), codes, n);
  }

  // The value of a sum of codes times values.  Applies the scales one by one, as training does,
  // because the product of both would be rounded.
  float value(int32_t sum) const { return static_cast<float>(sum) * prob_scale_ * v_scale_; }

  // Writes rows [row, row + n_rows) of y in the columns of one head.  first_key: key of the first
  // code of a row, a multiple of four;  n_keys: codes per row.
  void write(const PanelsI8& values, CodeRows& rows, int n_rows, int64_t first_key, int n_keys,
             int64_t row, int head, const View& y) const {
    const GemmI8Kernel& kernel = values.kernel();
    const int cols = values.padded_cols();
    for (int p = 0; p < values.n_panels(); ++p) {
      kernel.run(rows.codes.data(), rows.n_keys, n_rows, values.panel(p, first_key), n_keys,
                 rows.context.data() + p * kernel.cols, cols);
    }
    for (int i = 0; i < n_rows; ++i) {
      const int32_t* context = rows.context.data() + i * cols;
      float* out = y.row(row + i) + head * d_;
      for (int j = 0; j < d_; ++j) out[j] = value(context[j]);
    }
  }

 private:
  int d_;
  CodeSet prob_set_;
  float prob_scale_;
  float v_scale_;
  const ExpKernels& exp_;
  const ElementwiseKernels& elementwise_;
};

}  // namespace earbit
