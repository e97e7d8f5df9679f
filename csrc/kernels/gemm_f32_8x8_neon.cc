// c[i][j] = start[j] + sum_k a[i][k] * w[k][j] for NEON: 8 rows x 8 outputs in 16 sums.
//
// A load takes four numbers of a row, and FMLA selects them by lane: 16 loads per 64 FMLA.
#include <arm_neon.h>

#include <utility>

#include "kernels/gemm_f32.h"

namespace earbit {
namespace {

#include "kernels/with_rows.h"

constexpr int kCols = 8;

// Functions, because some intrinsics of clang are macros, in which no pack can be expanded.
inline float32x4_t four_at(const float* a) { return vld1q_f32(a); }

template <int lane>
[[gnu::always_inline]] inline float32x4_t add_lane(float32x4_t sum, float32x4_t w, float32x4_t x) {
  return vfmaq_laneq_f32(sum, w, x, lane);
}

// Rows are a pack of constants, not a loop: the sums must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const float* a, ptrdiff_t a_stride,
              const float* panel, int n_k, const float* start, int n_cols, float* c,
              ptrdiff_t c_stride) {
  float32x4_t low[sizeof...(row)];
  float32x4_t high[sizeof...(row)];
  ((low[row] = high[row] = vdupq_n_f32(0.0f)), ...);
  for (; n_k >= 4; n_k -= 4, a += 4) {
    const float32x4_t x[] = {four_at(a + row * a_stride)...};
    const auto step = [&]<int lane>(std::integer_sequence<int, lane>) {
      const float32x4_t w0 = vld1q_f32(panel);
      const float32x4_t w1 = vld1q_f32(panel + 4);
      panel += kCols;
      ((low[row] = add_lane<lane>(low[row], w0, x[row]),
        high[row] = add_lane<lane>(high[row], w1, x[row])),
       ...);
    };
    step(std::integer_sequence<int, 0>());
    step(std::integer_sequence<int, 1>());
    step(std::integer_sequence<int, 2>());
    step(std::integer_sequence<int, 3>());
  }
  for (; n_k > 0; --n_k, ++a, panel += kCols) {
    const float32x4_t w0 = vld1q_f32(panel);
    const float32x4_t w1 = vld1q_f32(panel + 4);
    ((low[row] = vfmaq_n_f32(low[row], w0, a[row * a_stride]),
      high[row] = vfmaq_n_f32(high[row], w1, a[row * a_stride])),
     ...);
  }
  const auto finish = [&](float* out, float32x4_t first, float32x4_t second) {
    const float* before = start == nullptr ? out : start;
    if (n_cols == kCols) {
      vst1q_f32(out, vaddq_f32(vld1q_f32(before), first));
      vst1q_f32(out + 4, vaddq_f32(vld1q_f32(before + 4), second));
    } else {
      float sum[kCols];
      vst1q_f32(sum, first);
      vst1q_f32(sum + 4, second);
      for (int j = 0; j < n_cols; ++j) out[j] = before[j] + sum[j];
    }
  };
  (finish(c + row * c_stride, low[row], high[row]), ...);
}

}  // namespace

void gemm_f32_8x8_neon(const float* a, ptrdiff_t a_stride, int n_rows, const float* panel, int n_k,
                       const float* start, int n_cols, float* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) {
    run_rows(rows, a, a_stride, panel, n_k, start, n_cols, c, c_stride);
  };
  with_rows<8>(n_rows, run);
}

}  // namespace earbit
