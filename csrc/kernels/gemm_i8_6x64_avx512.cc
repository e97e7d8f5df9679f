// c[i][j] = sum_k a[i][k] * w[j][k] for AVX-512 with VNNI.
//
// 6 rows x 64 outputs = 24 accumulators of 16 int32 each.  Four codes of a row are broadcast.
// `vpdpbusd` multiplies them with four weights of every output and adds the four products exactly.
// Panel: per four k, the four weights of each of the 64 outputs, adjacent.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

#include "kernels/fours_i8.h"
#include "kernels/with_rows.h"

constexpr int kRows = 6;
constexpr int kCols = 64;
constexpr int kVectors = kCols / 16;

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const uint8_t* panel, int n_k, int32_t* c, ptrdiff_t c_stride) {
  __m512i s0[sizeof...(row)];
  __m512i s1[sizeof...(row)];
  __m512i s2[sizeof...(row)];
  __m512i s3[sizeof...(row)];
  ((s0[row] = s1[row] = s2[row] = s3[row] = _mm512_setzero_si512()), ...);
  for (; n_k >= 4; n_k -= 4, a += 4, panel += 4 * kCols) {
    const __m512i w0 = _mm512_loadu_si512(panel);
    const __m512i w1 = _mm512_loadu_si512(panel + 64);
    const __m512i w2 = _mm512_loadu_si512(panel + 128);
    const __m512i w3 = _mm512_loadu_si512(panel + 192);
    __m512i x;
    ((x = _mm512_set1_epi32(codes_at(a + row * a_stride, 4)),
      s0[row] = _mm512_dpbusd_epi32(s0[row], x, w0), s1[row] = _mm512_dpbusd_epi32(s1[row], x, w1),
      s2[row] = _mm512_dpbusd_epi32(s2[row], x, w2), s3[row] = _mm512_dpbusd_epi32(s3[row], x, w3)),
     ...);
  }
  const auto store = [&](int i, int v, __m512i sum) {
    _mm512_storeu_si512(c + i * c_stride + 16 * v, sum);
  };
  ((store(row, 0, s0[row]), store(row, 1, s1[row]), store(row, 2, s2[row]), store(row, 3, s3[row])),
   ...);
  // The last one to three codes of a row, after the loop, where they need no registers of sums.
  for (int i = 0; n_k > 0 && i < static_cast<int>(sizeof...(row)); ++i) {
    const __m512i x = _mm512_set1_epi32(codes_at(a + i * a_stride, static_cast<size_t>(n_k)));
    for (int v = 0; v < kVectors; ++v) {
      int32_t* out = c + i * c_stride + 16 * v;
      const __m512i w = _mm512_loadu_si512(panel + 64 * v);
      _mm512_storeu_si512(out, _mm512_dpbusd_epi32(_mm512_loadu_si512(out), x, w));
    }
  }
}

}  // namespace

void gemm_i8_6x64_avx512_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                              uint8_t* panel) {
  pack_fours<kCols>(w, stride, n_cols, n_k, panel);
}

void gemm_i8_6x64_avx512(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                         int n_k, int32_t* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) { run_rows(rows, a, a_stride, panel, n_k, c, c_stride); };
  with_rows<kRows>(n_rows, run);
}

}  // namespace earbit
