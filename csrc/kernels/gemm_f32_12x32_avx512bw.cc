// c[i][j] = start[j] + sum_k a[i][k] * w[k][j] for AVX-512: 12 rows x 32 outputs in 24 sums.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

constexpr int kRows = 12;

#include "kernels/mask_below.h"

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const float* a, ptrdiff_t a_stride,
              const float* panel, int n_k, const float* start, int n_cols, float* c,
              ptrdiff_t c_stride) {
  __m512 low[sizeof...(row)];
  __m512 high[sizeof...(row)];
  ((low[row] = high[row] = _mm512_setzero_ps()), ...);
  for (int k = 0; k < n_k; ++k, panel += 32) {
    const __m512 w0 = _mm512_loadu_ps(panel);
    const __m512 w1 = _mm512_loadu_ps(panel + 16);
    __m512 x;
    ((x = _mm512_set1_ps(a[row * a_stride + k]), low[row] = _mm512_fmadd_ps(x, w0, low[row]),
      high[row] = _mm512_fmadd_ps(x, w1, high[row])),
     ...);
  }
  const __mmask16 is_low = mask_below(0, n_cols);
  const __mmask16 is_high = mask_below(16, n_cols);
  const auto finish = [&](float* out, __m512 first, __m512 second) {
    const float* before = start == nullptr ? out : start;
    first = _mm512_add_ps(_mm512_maskz_loadu_ps(is_low, before), first);
    second = _mm512_add_ps(_mm512_maskz_loadu_ps(is_high, before + 16), second);
    _mm512_mask_storeu_ps(out, is_low, first);
    _mm512_mask_storeu_ps(out + 16, is_high, second);
  };
  (finish(c + row * c_stride, low[row], high[row]), ...);
}

using Run = void (*)(const float* a, ptrdiff_t a_stride, const float* panel, int n_k,
                     const float* start, int n_cols, float* c, ptrdiff_t c_stride);

template <int n_rows>
void run(const float* a, ptrdiff_t a_stride, const float* panel, int n_k, const float* start,
         int n_cols, float* c, ptrdiff_t c_stride) {
  run_rows(std::make_integer_sequence<int, n_rows>(), a, a_stride, panel, n_k, start, n_cols, c,
           c_stride);
}

constexpr Run kRuns[kRows] = {run<1>, run<2>, run<3>, run<4>,  run<5>,  run<6>,
                              run<7>, run<8>, run<9>, run<10>, run<11>, run<12>};

}  // namespace

void gemm_f32_12x32_avx512bw(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel,
                             int n_k, const float* start, int n_cols, float* c,
                             ptrdiff_t c_stride) {
  if (n_rows < 1 || n_rows > kRows) return;
  kRuns[n_rows - 1](a, a_stride, panel, n_k, start, n_cols, c, c_stride);
}

}  // namespace earbit
