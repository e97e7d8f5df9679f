// c[i][j] = sum_k a[i][k] * w[j][k] for NEON: 4 rows x 16 outputs in 16 sums.
//
// Codes and weights are 16 bits wide: SMLAL multiplies four weights with one lane of the codes of a
// row and adds to int32, without intermediate overflow.
// Panel: int16 weight k of the 16 outputs, adjacent.
#include <arm_neon.h>

#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

#include "kernels/with_rows.h"

constexpr int kCols = 16;

struct Sums {
  int32x4_t of[4];
};

// Functions, because some intrinsics of clang are macros, in which no pack can be expanded.
inline int16x8_t codes_at(const uint8_t* a) { return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(a))); }

// Codes beyond the end of a row are zeros.
inline int16x8_t codes_at(const uint8_t* a, size_t n_codes) {
  uint8_t codes[8] = {};
  std::memcpy(codes, a, n_codes);
  return codes_at(codes);
}

template <int lane>
[[gnu::always_inline]] inline void add_lane(Sums& sums, int16x8_t x, int16x8_t w0, int16x8_t w1) {
  sums.of[0] = vmlal_laneq_s16(sums.of[0], vget_low_s16(w0), x, lane);
  sums.of[1] = vmlal_high_laneq_s16(sums.of[1], w0, x, lane);
  sums.of[2] = vmlal_laneq_s16(sums.of[2], vget_low_s16(w1), x, lane);
  sums.of[3] = vmlal_high_laneq_s16(sums.of[3], w1, x, lane);
}

// Products of four of the codes, from `first` on.
template <int first, size_t n_rows, int... lane>
[[gnu::always_inline]] inline void add_four(std::integer_sequence<int, lane...>,
                                            Sums (&sums)[n_rows], const int16x8_t (&x)[n_rows],
                                            const int16_t* w) {
  const auto add = [&]<int k>(std::integer_sequence<int, k>) {
    const int16x8_t w0 = vld1q_s16(w + k * kCols);
    const int16x8_t w1 = vld1q_s16(w + k * kCols + 8);
    for (size_t i = 0; i < n_rows; ++i) add_lane<first + k>(sums[i], x[i], w0, w1);
  };
  (add(std::integer_sequence<int, lane>()), ...);
}

template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const int16_t* w, int n_k, int32_t* c, ptrdiff_t c_stride) {
  constexpr auto kFour = std::make_integer_sequence<int, 4>();
  const int32x4_t zero = vdupq_n_s32(0);
  Sums sums[] = {{(static_cast<void>(row), zero), zero, zero, zero}...};
  for (; n_k >= 8; n_k -= 8, a += 8, w += 8 * kCols) {
    const int16x8_t x[] = {codes_at(a + row * a_stride)...};
    add_four<0>(kFour, sums, x, w);
    add_four<4>(kFour, sums, x, w + 4 * kCols);
  }
  if (n_k > 0) {
    const int16x8_t x[] = {codes_at(a + row * a_stride, static_cast<size_t>(n_k))...};
    add_four<0>(kFour, sums, x, w);
    if (n_k > 4) add_four<4>(kFour, sums, x, w + 4 * kCols);
  }
  const auto store = [&](int32_t* out, const Sums& row_sums) {
    for (int v = 0; v < 4; ++v) vst1q_s32(out + 4 * v, row_sums.of[v]);
  };
  (store(c + row * c_stride, sums[row]), ...);
}

}  // namespace

void gemm_i8_4x16_neon_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                            uint8_t* panel) {
  const int n_padded = (n_k + kPanelStepI8 - 1) / kPanelStepI8 * kPanelStepI8;
  for (int k = 0; k < n_padded; ++k) {
    for (int j = 0; j < kCols; ++j, panel += 2) {
      const int16_t weight = j < n_cols && k < n_k ? w[j * stride + k] : 0;
      std::memcpy(panel, &weight, sizeof weight);
    }
  }
}

void gemm_i8_4x16_neon(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                       int n_k, int32_t* c, ptrdiff_t c_stride) {
  const auto* w = reinterpret_cast<const int16_t*>(panel);
  const auto run = [&](auto rows) { run_rows(rows, a, a_stride, w, n_k, c, c_stride); };
  with_rows<4>(n_rows, run);
}

}  // namespace earbit
