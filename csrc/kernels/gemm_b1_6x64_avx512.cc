// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX-512 with VPOPCNTDQ.
//
// 6 rows x 64 outputs = 24 accumulators of 16 int32 each.  A 32-bit word of a row is broadcast, so
// lanes are outputs and nothing is ever summed across lanes.
// Panel: half-word k (32 bits) of the 64 outputs side by side.
#include <immintrin.h>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

constexpr int kRows = 6;
constexpr int kCols = 64;
constexpr int kVectors = kCols / 16;

template <int n_rows, BitOp op>
void run_rows(const uint64_t* a, ptrdiff_t a_stride, const uint64_t* panel, int n_words, int32_t* c,
              ptrdiff_t c_stride) {
  const auto* w = reinterpret_cast<const uint32_t*>(panel);
  __m512i count[n_rows][kVectors];
  for (int i = 0; i < n_rows; ++i) {
    for (int v = 0; v < kVectors; ++v) count[i][v] = _mm512_setzero_si512();
  }
  for (int k = 0; k < 2 * n_words; ++k, w += kCols) {
    __m512i weight[kVectors];
    for (int v = 0; v < kVectors; ++v) weight[v] = _mm512_loadu_si512(w + 16 * v);
    for (int i = 0; i < n_rows; ++i) {
      const auto* row = reinterpret_cast<const uint32_t*>(a + i * a_stride);
      const __m512i x = _mm512_set1_epi32(static_cast<int>(row[k]));
      for (int v = 0; v < kVectors; ++v) {
        const __m512i bits = op == BitOp::exclusive_or ? _mm512_xor_si512(x, weight[v])
                                                       : _mm512_and_si512(x, weight[v]);
        count[i][v] = _mm512_add_epi32(count[i][v], _mm512_popcnt_epi32(bits));
      }
    }
  }
  for (int i = 0; i < n_rows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      _mm512_storeu_si512(c + i * c_stride + 16 * v, count[i][v]);
    }
  }
}

template <int n_rows>
void run_op(const uint64_t* a, ptrdiff_t a_stride, const uint64_t* panel, int n_words, BitOp op,
            int32_t* c, ptrdiff_t c_stride) {
  if (op == BitOp::exclusive_or) {
    run_rows<n_rows, BitOp::exclusive_or>(a, a_stride, panel, n_words, c, c_stride);
  } else {
    run_rows<n_rows, BitOp::conjunction>(a, a_stride, panel, n_words, c, c_stride);
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
