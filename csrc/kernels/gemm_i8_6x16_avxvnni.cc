// c[i][j] = sum_k a[i][k] * w[j][k] for AVX2 with AVX-VNNI.
//
// 6 rows x 16 outputs = 12 sums of 8 int32 each, which with two vectors of weights and four codes
// of a row take 15 of 16 registers.  `vpdpbusd` multiplies the codes with four weights of every
// output and adds the four products exactly.  Two of them start in a cycle and take five, so ten
// sums or more keep them busy.
// Panel: per four k, the four weights of each of the 16 outputs, adjacent.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

#include "kernels/fours_i8.h"
#include "kernels/with_rows.h"

constexpr int kRows = 6;
constexpr int kCols = 16;

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

void store(int32_t* to, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const uint8_t* panel, int n_k, int32_t* c, ptrdiff_t c_stride) {
  __m256i low[sizeof...(row)];
  __m256i high[sizeof...(row)];
  ((low[row] = high[row] = _mm256_setzero_si256()), ...);
  for (; n_k >= 4; n_k -= 4, a += 4, panel += 4 * kCols) {
    const __m256i w0 = load(panel);
    const __m256i w1 = load(panel + 32);
    __m256i x;
    ((x = _mm256_set1_epi32(codes_at(a + row * a_stride, 4)),
      low[row] = _mm256_dpbusd_avx_epi32(low[row], x, w0),
      high[row] = _mm256_dpbusd_avx_epi32(high[row], x, w1)),
     ...);
  }
  ((store(c + row * c_stride, low[row]), store(c + row * c_stride + 8, high[row])), ...);
  // The last one to three codes of a row, after the loop, where they need no registers of sums.
  for (int i = 0; n_k > 0 && i < static_cast<int>(sizeof...(row)); ++i) {
    const __m256i x = _mm256_set1_epi32(codes_at(a + i * a_stride, static_cast<size_t>(n_k)));
    int32_t* out = c + i * c_stride;
    store(out, _mm256_dpbusd_avx_epi32(load(out), x, load(panel)));
    store(out + 8, _mm256_dpbusd_avx_epi32(load(out + 8), x, load(panel + 32)));
  }
}

}  // namespace

void gemm_i8_6x16_avxvnni_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                               uint8_t* panel) {
  pack_fours<kCols>(w, stride, n_cols, n_k, panel);
}

void gemm_i8_6x16_avxvnni(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                          int n_k, int32_t* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) { run_rows(rows, a, a_stride, panel, n_k, c, c_stride); };
  with_rows<kRows>(n_rows, run);
}

}  // namespace earbit
