// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX-512 with VPOPCNTDQ.
//
// 6 rows x 64 outputs = 24 accumulators of 16 int32 each.  A 32-bit word of a row is broadcast, so
// lanes are outputs and nothing is ever summed across lanes.  Rows and vectors are unrolled by
// templates: compilers keep arrays that loops walk over in memory, and half of the accumulators
// with them.
// Panel: half-word k (32 bits) of the 64 outputs side by side.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

constexpr int kRows = 6;
constexpr int kCols = 64;
constexpr int kVectors = kCols / 16;
static_assert(kVectors == 4);

template <BitOp op>
[[gnu::always_inline]] inline void count_bits(__m512i& count, __m512i x, __m512i weight) {
  const __m512i bits =
      op == BitOp::exclusive_or ? _mm512_xor_si512(x, weight) : _mm512_and_si512(x, weight);
  count = _mm512_add_epi32(count, _mm512_popcnt_epi32(bits));
}

template <BitOp op>
[[gnu::always_inline]] inline void count_row(__m512i (&count)[kVectors], uint32_t word,
                                             const __m512i (&weight)[kVectors]) {
  const __m512i x = _mm512_set1_epi32(static_cast<int>(word));
  count_bits<op>(count[0], x, weight[0]);
  count_bits<op>(count[1], x, weight[1]);
  count_bits<op>(count[2], x, weight[2]);
  count_bits<op>(count[3], x, weight[3]);
}

[[gnu::always_inline]] inline void store_row(const __m512i (&count)[kVectors], int32_t* c) {
  _mm512_storeu_si512(c, count[0]);
  _mm512_storeu_si512(c + 16, count[1]);
  _mm512_storeu_si512(c + 32, count[2]);
  _mm512_storeu_si512(c + 48, count[3]);
}

template <BitOp op, int... rows>
[[gnu::always_inline]] inline void run_rows(std::integer_sequence<int, rows...>, const uint64_t* a,
                                            ptrdiff_t a_stride, const uint64_t* panel, int n_words,
                                            int32_t* c, ptrdiff_t c_stride) {
  const auto* w = reinterpret_cast<const uint32_t*>(panel);
  const uint32_t* row[] = {reinterpret_cast<const uint32_t*>(a + rows * a_stride)...};
  const __m512i zero = _mm512_setzero_si512();
  __m512i count[][kVectors] = {{(static_cast<void>(rows), zero), zero, zero, zero}...};
  for (int k = 0; k < 2 * n_words; ++k, w += kCols) {
    const __m512i weight[kVectors] = {_mm512_loadu_si512(w), _mm512_loadu_si512(w + 16),
                                      _mm512_loadu_si512(w + 32), _mm512_loadu_si512(w + 48)};
    (count_row<op>(count[rows], row[rows][k], weight), ...);
  }
  (store_row(count[rows], c + rows * c_stride), ...);
}

template <int n_rows>
void run_op(const uint64_t* a, ptrdiff_t a_stride, const uint64_t* panel, int n_words, BitOp op,
            int32_t* c, ptrdiff_t c_stride) {
  constexpr auto kRowsOfTile = std::make_integer_sequence<int, n_rows>();
  if (op == BitOp::exclusive_or) {
    run_rows<BitOp::exclusive_or>(kRowsOfTile, a, a_stride, panel, n_words, c, c_stride);
  } else {
    run_rows<BitOp::conjunction>(kRowsOfTile, a, a_stride, panel, n_words, c, c_stride);
  }
}

}  // namespace

void gemm_b1_6x64_avx512_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                              uint64_t* panel) {
  auto* out = reinterpret_cast<uint32_t*>(panel);
  for (int k = 0; k < 2 * n_words; ++k) {
    for (int j = 0; j < kCols; ++j) {
      *out++ = j < n_cols ? static_cast<uint32_t>(w[j * stride + k / 2] >> (32 * (k % 2))) : 0;
    }
  }
}

void gemm_b1_6x64_avx512(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                         int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  switch (n_rows) {
    case 1:
      return run_op<1>(a, a_stride, panel, n_words, op, c, c_stride);
    case 2:
      return run_op<2>(a, a_stride, panel, n_words, op, c, c_stride);
    case 3:
      return run_op<3>(a, a_stride, panel, n_words, op, c, c_stride);
    case 4:
      return run_op<4>(a, a_stride, panel, n_words, op, c, c_stride);
    case 5:
      return run_op<5>(a, a_stride, panel, n_words, op, c, c_stride);
    case kRows:
      return run_op<kRows>(a, a_stride, panel, n_words, op, c, c_stride);
    default:
      return;
  }
}

}  // namespace earbit
