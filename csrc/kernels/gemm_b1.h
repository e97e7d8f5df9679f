// Binary matrix product: c[i][j] = sum over words of popcount(a[i] OP w[j]), OP xor or and.
//
// A kernel multiplies a few rows with one panel, the weights of `cols` outputs in a layout that the
// kernel defines.  Rows of A are a base pointer and a stride and may overlap, so a convolution is a
// product over overlapping rows and needs no copy.  Counts are exact, and int32 overflows only
// beyond 2^31 bits per row.  The reference is gemm_b1_4x8_scalar.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/isa.h"

namespace earbit {

enum class BitOp { exclusive_or, conjunction };

// A few rows and one panel, and the offsets that convert counts c to dots: offsets[i] - 2 c[i][j]
// of signed operands (xor), else offsets[i] + 2 c[i][j] (and).
struct DotsB1 {
  const uint64_t* a;
  ptrdiff_t a_stride;
  int n_rows;
  const uint64_t* panel;
  int n_words;
  int n_cols;  // outputs of the panel without padding
  bool is_signed;
  const int32_t* offsets;
  const uint16_t* arranged = nullptr;  // the rows as the kernel arranges them, or null
};

struct GemmB1Kernel {
  const char* name;
  Isa isa;
  int rows;         // maximum number of rows of A per call
  int cols;         // outputs in a panel
  int panel_words;  // words of a panel per word of weights

  // Lays out `n_cols` <= cols weight rows of n_words words, `stride` words apart, as one panel of
  // cols * n_words * panel_words words; missing outputs are zeros.
  void (*pack)(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words, uint64_t* panel);

  // c[i * c_stride + j] = counts for i < n_rows <= rows, j < cols.  Word k of a panel starts at
  // panel + k * cols * panel_words, so a part of the words is a panel too.
  void (*run)(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel, int n_words,
              BitOp op, int32_t* c, ptrdiff_t c_stride);

  // Implementations of `to_bits` and `to_floats` without counts in memory, or null.  They take up
  // to direct_words words, and offsets within +-64 * direct_words.
  int direct_words;
  void (*bits)(const DotsB1& dots, const int32_t* threshold, uint64_t* bits, ptrdiff_t stride);
  void (*floats)(const DotsB1& dots, const float* scale, const float* bias, float* y,
                 ptrdiff_t stride);

  // Writes the form of rows that `bits` and `floats` read, once for several panels: 16 * n_words
  // numbers for every two rows.  Null if they read the rows themselves.
  void (*arrange)(const uint64_t* a, ptrdiff_t a_stride, int n_rows, int n_words,
                  uint16_t* arranged);
};

// Bit j of bits[i * stride] is dot[i][j] >= threshold[j], for up to 64 outputs, 0 beyond n_cols.
// Offsets lie within +-2^29, thresholds within +-2^30.
void to_bits(const GemmB1Kernel& kernel, const DotsB1& dots, const int32_t* threshold,
             uint64_t* bits, ptrdiff_t stride);

// y[i * stride + j] = scale[j] * dot[i][j] + bias[j], rounded after the product, for j < n_cols.
void to_floats(const GemmB1Kernel& kernel, const DotsB1& dots, const float* scale,
               const float* bias, float* y, ptrdiff_t stride);

// All kernels of this build, the scalar one first.
const std::vector<GemmB1Kernel>& gemm_b1_kernels();

// The kernel of an instruction set, or of the best lower one that has a kernel.
const GemmB1Kernel& gemm_b1_kernel(Isa isa);

// Weights of any number of outputs, as panels of one kernel.
class PanelsB1 {
 public:
  PanelsB1(const GemmB1Kernel& kernel, const uint64_t* w, ptrdiff_t stride, int n_cols,
           int n_words);

  int n_panels() const { return n_panels_; }
  int padded_cols() const { return n_panels_ * kernel_->cols; }
  // Panel p from a given word.
  const uint64_t* panel(int p, int64_t first_word = 0) const {
    return lines_.front().words + (static_cast<size_t>(p) * n_words_ + first_word) * word_size();
  }
  const GemmB1Kernel& kernel() const { return *kernel_; }

  // Counts of any number of rows against all outputs; c has padded_cols() columns.  A panel is
  // used for all rows before the next one is read.
  void run(const uint64_t* a, ptrdiff_t a_stride, int n_rows, BitOp op, int32_t* c) const;

 private:
  // Aligned, because a vector that crosses a cache line takes two loads.
  struct alignas(64) Line {
    uint64_t words[8];
  };

  size_t word_size() const { return static_cast<size_t>(kernel_->cols) * kernel_->panel_words; }

  const GemmB1Kernel* kernel_;
  int n_words_;
  int n_panels_;
  std::vector<Line> lines_;  // at least one
};

}  // namespace earbit
