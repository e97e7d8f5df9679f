// gemm_b1 and gemm_i8: all rows and outputs of a product, tile by tile, against plain arithmetic.
#include <bit>

#include "kernels/gemm_b1.h"
#include "kernels/gemm_i8.h"
#include "shapes/families.h"

namespace shapes {
namespace {

using earbit::BitOp;

constexpr int32_t kUntouched = -0x77777777;

struct Shape {
  int rows;
  int cols;
  int depth;
  int from;            // a product starts at this element of rows and weights
  ptrdiff_t a_stride;  // rows overlap where it is below the depth
  ptrdiff_t w_stride;
  ptrdiff_t gap;    // columns of the result that are nobody's
  bool is_extreme;  // all elements are the largest in size: what accumulators must hold

  // Elements from the first of a row to the last of the last one: not one more may be read.
  size_t n_a() const { return rows == 0 ? 0 : static_cast<size_t>((rows - 1) * a_stride + depth); }
  size_t n_w() const { return cols == 0 ? 0 : static_cast<size_t>((cols - 1) * w_stride + depth); }

  std::string text() const {
    return std::to_string(rows) + " x " + std::to_string(cols) + " x " + std::to_string(depth) +
           " from " + std::to_string(from) + ", strides " + std::to_string(a_stride) + " and " +
           std::to_string(w_stride);
  }
};

// Parts of a panel start at multiples of `step` elements.
Shape drawn_shape(Draw& draw, int most_depth, int most_long, int step) {
  Shape s{};
  const bool is_long = draw.one_in(25);
  s.rows = is_long ? draw.size(1, 3) : draw.size(0, 40);
  s.cols = draw.size(is_long ? 1 : 0, is_long ? 70 : 140);
  s.depth = is_long ? draw.size(most_long / 2, most_long) : draw.size(0, most_depth);
  if (is_long && draw.one_in(4)) s.depth = most_long;
  s.from = draw.one_in(4) ? draw.below(s.depth / step + 1) * step : 0;
  s.a_stride = draw.one_in(3) ? draw.below(s.depth + 1) : s.depth + draw.below(3);
  s.w_stride = s.depth + draw.below(3);
  s.gap = draw.below(4);
  s.is_extreme = is_long && draw.one_in(2);
  return s;
}

// Sums (rows, cols) as a kernel makes them; panels of cols * panel_depth * parts elements.
template <typename Part, typename Kernel, typename A, typename W, typename... Op>
std::vector<int32_t> sums_of(const Kernel& kernel, int parts, int panel_depth, const Shape& s,
                             const std::vector<A>& a, const std::vector<W>& w, Op... op) {
  const int n_panels = (s.cols + kernel.cols - 1) / kernel.cols;
  const ptrdiff_t c_stride = n_panels * kernel.cols + s.gap;
  std::vector<int32_t> c(static_cast<size_t>((s.rows + 1) * c_stride), kUntouched);
  const size_t per_element = static_cast<size_t>(kernel.cols) * parts;
  for (int first = 0; first < s.cols; first += kernel.cols) {
    // Garbage first: what a kernel does not lay out must not matter.
    std::vector<Part> panel(per_element * panel_depth, static_cast<Part>(0x9c));
    kernel.pack(w.data() + first * s.w_stride, s.w_stride, std::min(kernel.cols, s.cols - first),
                s.depth, panel.data());
    for (int i = 0; i < s.rows; i += kernel.rows) {
      kernel.run(a.data() + s.from + i * s.a_stride, s.a_stride, std::min(kernel.rows, s.rows - i),
                 panel.data() + per_element * s.from, s.depth - s.from, op...,
                 c.data() + i * c_stride + first, c_stride);
    }
  }
  std::vector<int32_t> sums;
  for (int i = 0; i <= s.rows; ++i) {
    const int32_t* row = c.data() + i * c_stride;
    for (ptrdiff_t j = i < s.rows ? c_stride - s.gap : 0; j < c_stride; ++j) {
      if (row[j] == kUntouched) continue;
      throw Wrong(std::string(kernel.name) + " writes beyond its rows or panels: " + s.text());
    }
    if (i < s.rows) sums.insert(sums.end(), row, row + s.cols);
  }
  return sums;
}

template <typename Product>
std::vector<int32_t> plain_sums(const Shape& s, Product&& product) {
  std::vector<int32_t> sums;
  for (int i = 0; i < s.rows; ++i) {
    for (int j = 0; j < s.cols; ++j) {
      int64_t sum = 0;
      for (int k = s.from; k < s.depth; ++k) sum += product(i * s.a_stride + k, j * s.w_stride + k);
      sums.push_back(static_cast<int32_t>(sum));
    }
  }
  return sums;
}

void compare(const char* name, const std::string& shape, const std::vector<int32_t>& sums,
             const std::vector<int32_t>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (sums[i] == expected[i]) continue;
    throw Wrong(std::string(name) + " gives " + std::to_string(sums[i]) + " for " +
                std::to_string(expected[i]) + " at place " + std::to_string(i) + " of " + shape);
  }
}

}  // namespace

void try_gemm_b1(Draw& draw, Digest& digest) {
  // 2^24 bits are the longest row that an op may have.
  const Shape s = drawn_shape(draw, 24, draw.one_in(20) ? 1 << 18 : 4000, 1);
  const BitOp op = draw.one_in(2) ? BitOp::exclusive_or : BitOp::conjunction;
  std::vector<uint64_t> a = draw.words(s.n_a());
  std::vector<uint64_t> w = draw.words(s.n_w());
  if (s.is_extreme) {
    std::fill(a.begin(), a.end(), ~uint64_t{0});
    std::fill(w.begin(), w.end(), op == BitOp::conjunction ? ~uint64_t{0} : uint64_t{0});
  }
  const std::vector<int32_t> expected = plain_sums(s, [&](ptrdiff_t i, ptrdiff_t j) {
    return std::popcount(op == BitOp::exclusive_or ? a[i] ^ w[j] : a[i] & w[j]);
  });
  for (const earbit::GemmB1Kernel& kernel : earbit::gemm_b1_kernels()) {
    if (!is_available(kernel.isa)) continue;
    const auto counts = sums_of<uint64_t>(kernel, kernel.panel_words, s.depth, s, a, w, op);
    compare(kernel.name, s.text() + (op == BitOp::conjunction ? ", and" : ", xor"), counts,
            expected);
  }
  digest.add(expected);
}

void try_gemm_i8(Draw& draw, Digest& digest) {
  // 255 x -128 exceed 32 bits beyond 65,793 of them.
  const Shape s = drawn_shape(draw, 200, draw.one_in(4) ? 65793 : 5000, earbit::kPanelStepI8);
  auto a = draw.numbers<uint8_t>(s.n_a(), 0, 255);
  auto w = draw.numbers<int8_t>(s.n_w(), -128, 127);
  if (s.is_extreme) {
    std::fill(a.begin(), a.end(), uint8_t{255});
    std::fill(w.begin(), w.end(), int8_t{-128});
  }
  const std::vector<int32_t> expected =
      plain_sums(s, [&](ptrdiff_t i, ptrdiff_t j) { return int{a[i]} * int{w[j]}; });
  const int padded = (s.depth + earbit::kPanelStepI8 - 1) / earbit::kPanelStepI8;
  for (const earbit::GemmI8Kernel& kernel : earbit::gemm_i8_kernels()) {
    if (!is_available(kernel.isa)) continue;
    const auto sums =
        sums_of<uint8_t>(kernel, kernel.panel_bytes, padded * earbit::kPanelStepI8, s, a, w);
    compare(kernel.name, s.text(), sums, expected);
  }
  digest.add(expected);
}

}  // namespace shapes
