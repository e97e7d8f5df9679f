// Binary product of probabilities and values, for all binary attention ops.
//
// context = 2 popcount(p and v) - popcount(p), with V packed along time.  The output is
// y = scale * context, or the bit context >= threshold, with the heads concatenated.
#pragma once

#include <algorithm>
#include <vector>

#include "bits/transpose.h"
#include "graph/attributes.h"
#include "graph/view.h"
#include "kernels/gemm_b1.h"
#include "ops/thresholds.h"

namespace earbit {

// Probabilities of a few rows of one head, and buffers for their product with the values.
struct ContextRows {
  ContextRows(const GemmB1Kernel& kernel, int64_t p_words)
      : p_words(p_words),
        p(static_cast<size_t>(kernel.rows * p_words)),
        ones(kernel.rows),
        packed(kernel.rows) {}

  int64_t p_words;
  std::vector<uint64_t> p;    // (rows, p_words)
  std::vector<int32_t> ones;  // (rows,): ones of p, negated by `write`
  std::vector<uint64_t> packed;
};

class ContextB1 {
 public:
  // Heads of d columns each, with `threshold` (n_heads * d,), else `scale`.
  ContextB1(Attributes& attributes, int n_heads, int d) : d_(d) {
    const int width = n_heads * d;
    if (attributes.has_tensor("threshold")) {
      threshold_ = thresholds_of(attributes, width);
      type_ = Type::bits(1, width);
    } else {
      scale_.assign(width, attributes.number("scale"));
      type_ = Type::floats(width);
    }
    zero_.assign(width, 0.0f);
  }

  const Type& type() const { return type_; }

  // Values of a head, bits (n, d), as weights of p.
  PanelsB1 values_of(const uint64_t* v, int64_t n) const {
    const auto n_words = static_cast<int>(words_for(n));
    return PanelsB1(gemm_b1_kernel(chosen_isa()), transposed(v, n, d_).data(), n_words, d_,
                    n_words);
  }

  // Clears rows [begin, end) of a binary y before `write`, because heads share words.
  void clear(int64_t begin, int64_t end, const View& y) const {
    if (type_.kind != Kind::bits) return;
    std::fill_n(y.bits_row(0, begin), (end - begin) * type_.words(), uint64_t{0});
  }

  // Writes rows [row, row + n_rows) of y in the columns of one head.  first_word: word of the
  // values for the first word of p;  n_words: number of words of p.
  void write(const PanelsB1& values, ContextRows& rows, int n_rows, int first_word, int n_words,
             int64_t row, int head, const View& y) const {
    const GemmB1Kernel& kernel = values.kernel();
    for (int i = 0; i < n_rows; ++i) rows.ones[i] = -rows.ones[i];
    for (int p = 0; p < values.n_panels(); ++p) {
      const int n_cols = std::min(kernel.cols, d_ - p * kernel.cols);
      const DotsB1 dots{rows.p.data(), rows.p_words, n_rows, values.panel(p, first_word),
                        n_words,       n_cols,       false,  rows.ones.data()};
      write_dots(kernel, dots, row, head * d_ + p * kernel.cols, rows.packed, y);
    }
  }

 private:
  void write_dots(const GemmB1Kernel& kernel, const DotsB1& dots, int64_t row, int column,
                  std::vector<uint64_t>& packed, const View& y) const {
    if (type_.kind != Kind::bits) {
      to_floats(kernel, dots, scale_.data() + column, zero_.data() + column, y.row(row) + column,
                type_.cols);
      return;
    }
    to_bits(kernel, dots, threshold_.data() + column, packed.data(), 1);
    const int shift = column % kWordBits;
    for (int i = 0; i < dots.n_rows; ++i) {
      uint64_t* out = y.bits_row(0, row + i) + column / kWordBits;
      out[0] |= packed[i] << shift;
      // A head can end inside a word.
      if (shift + dots.n_cols > kWordBits) out[1] |= packed[i] >> (kWordBits - shift);
    }
  }

  int d_;
  std::vector<float> scale_;
  std::vector<float> zero_;
  std::vector<int32_t> threshold_;
  Type type_;
};

}  // namespace earbit
