// Packs key codes of one head as gemm weights, for all attention ops on codes.
//
// Query codes u start at 0 and have the value low + step * u.  With the sums s of the kernel over
// u, dot(q, k) = step * s + low * (the sum of the codes of k).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bits/transpose.h"
#include "graph/view.h"
#include "kernels/gemm_i8.h"

namespace earbit {

constexpr int kMaxHeadDim = 1 << 15;  // 255 x 128 for each column: a dot is an int32

// Columns of a head; throws std::invalid_argument unless all inputs are signed codes of one width.
inline int head_dim_of(const std::vector<Type>& inputs, int heads) {
  const int width = inputs[0].cols;
  for (const Type& input : inputs) {
    if (input.cols != width || width % heads != 0) {
      throw std::invalid_argument("the inputs must have the same width, a multiple of heads=" +
                                  std::to_string(heads));
    }
    if (input.set.is_unsigned) throw std::invalid_argument("the inputs must be signed codes");
  }
  const int d = width / heads;
  if (d > kMaxHeadDim) {
    throw std::invalid_argument("heads of " + std::to_string(d) + " columns; at most " +
                                std::to_string(kMaxHeadDim) + " are allowed");
  }
  return d;
}

// Values of the codes of one head: (frames, d).
inline std::vector<int8_t> head_values(const View& x, int head, int d) {
  std::vector<int8_t> values(static_cast<size_t>(x.rows.size()) * d);
  const int low = x.type.set.low();
  const int step = x.type.set.step();
  int8_t* row = values.data();
  for (int64_t frame = x.rows.begin; frame < x.rows.end; ++frame) {
    const uint8_t* codes = x.codes_row(frame) + head * d;
    for (int j = 0; j < d; ++j) *row++ = static_cast<int8_t>(low + step * codes[j]);
  }
  return values;
}

// The same in the layout of weights, for products with the probabilities of all frames.
inline PanelsI8 value_panels(const View& v, int head, int d) {
  const auto n = static_cast<int>(v.rows.size());
  const std::vector<int8_t> values = head_values(v, head, d);
  std::vector<int8_t> transposed(values.size());
  transpose_bytes(reinterpret_cast<const uint8_t*>(values.data()), d, n, d,
                  reinterpret_cast<uint8_t*>(transposed.data()), n);
  return PanelsI8(gemm_i8_kernel(chosen_isa()), transposed.data(), n, d, n);
}

class KeysI8 {
 public:
  KeysI8(const View& keys, const CodeSet& q_set, int head, int d)
      : KeysI8(head_values(keys, head, d), static_cast<int>(keys.rows.size()), q_set, d) {}

  int64_t n() const { return static_cast<int64_t>(offset_.size()); }
  const PanelsI8& panels() const { return panels_; }
  const GemmI8Kernel& kernel() const { return panels_.kernel(); }

  // Offsets that are added to step * sums, from key j.
  const int32_t* offset(int64_t j) const { return offset_.data() + j; }

 private:
  KeysI8(const std::vector<int8_t>& values, int n, const CodeSet& q_set, int d)
      : panels_(gemm_i8_kernel(chosen_isa()), values.data(), d, n, d), offset_(n) {
    const int low = q_set.low();
    for (int j = 0; j < n; ++j) {
      const int8_t* row = values.data() + static_cast<size_t>(j) * d;
      int32_t sum = 0;
      for (int c = 0; c < d; ++c) sum += row[c];
      offset_[j] = low * sum;
    }
  }

  PanelsI8 panels_;
  std::vector<int32_t> offset_;
};

}  // namespace earbit
