// c[i][j] = sum_k a[i][k] * w[j][k] for NEON with dot products: 4 rows x 16 outputs in 16 sums.
//
// UDOT wants bytes without a sign on both sides, SDOT with one on both; codes have none, weights
// have one.  So weights are stored as w + 128, and sum a w = sum a (w + 128) - 128 sum a.  The sum
// of a row's codes is one more UDOT, with ones, beside 16 for the outputs.  Sums wrap modulo 2^32,
// which leaves the difference exact.
// Panel: per four k, the four weights of each of the 16 outputs side by side.
#include <arm_neon.h>

#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

constexpr int kCols = 16;
constexpr int kFour = 4 * kCols;  // bytes of a panel per four k

struct Sums {
  uint32x4_t of[4];
  uint32x4_t codes;
};

// Codes that a row does not have are zeros.
inline uint8x16_t codes_at(const uint8_t* a, size_t n_codes) {
  uint8_t codes[16] = {};
  std::memcpy(codes, a, n_codes);
  return vld1q_u8(codes);
}

// Products of four of the codes, of every row.
template <int lane, size_t n_rows>
[[gnu::always_inline]] inline void add_four(Sums (&sums)[n_rows], const uint8x16_t (&x)[n_rows],
                                            const uint8_t* panel) {
  const uint8x16_t w0 = vld1q_u8(panel + lane * kFour);
  const uint8x16_t w1 = vld1q_u8(panel + lane * kFour + 16);
  const uint8x16_t w2 = vld1q_u8(panel + lane * kFour + 32);
  const uint8x16_t w3 = vld1q_u8(panel + lane * kFour + 48);
  for (size_t i = 0; i < n_rows; ++i) {
    sums[i].of[0] = vdotq_laneq_u32(sums[i].of[0], w0, x[i], lane);
    sums[i].of[1] = vdotq_laneq_u32(sums[i].of[1], w1, x[i], lane);
    sums[i].of[2] = vdotq_laneq_u32(sums[i].of[2], w2, x[i], lane);
    sums[i].of[3] = vdotq_laneq_u32(sums[i].of[3], w3, x[i], lane);
  }
}

inline void store(int32_t* out, const Sums& sums) {
  const uint32x4_t excess = vdupq_n_u32(128 * vaddvq_u32(sums.codes));
  for (int v = 0; v < 4; ++v) {
    vst1q_s32(out + 4 * v, vreinterpretq_s32_u32(vsubq_u32(sums.of[v], excess)));
  }
}

template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const uint8_t* panel, int n_k, int32_t* c, ptrdiff_t c_stride) {
  const uint32x4_t zero = vdupq_n_u32(0);
  const uint8x16_t one = vdupq_n_u8(1);
  Sums sums[] = {{{(static_cast<void>(row), zero), zero, zero, zero}, zero}...};
  for (; n_k >= 16; n_k -= 16, a += 16, panel += 4 * kFour) {
    const uint8x16_t x[] = {vld1q_u8(a + row * a_stride)...};
    ((sums[row].codes = vdotq_u32(sums[row].codes, x[row], one)), ...);
    add_four<0>(sums, x, panel);
    add_four<1>(sums, x, panel);
    add_four<2>(sums, x, panel);
    add_four<3>(sums, x, panel);
  }
  if (n_k > 0) {
    const uint8x16_t x[] = {codes_at(a + row * a_stride, static_cast<size_t>(n_k))...};
    ((sums[row].codes = vdotq_u32(sums[row].codes, x[row], one)), ...);
    add_four<0>(sums, x, panel);
    if (n_k > 4) add_four<1>(sums, x, panel);
    if (n_k > 8) add_four<2>(sums, x, panel);
    if (n_k > 12) add_four<3>(sums, x, panel);
  }
  (store(c + row * c_stride, sums[row]), ...);
}

}  // namespace

void gemm_i8_4x16_dotprod_pack(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k,
                               uint8_t* panel) {
  for (int first = 0; first < n_k; first += 4) {
    for (int j = 0; j < kCols; ++j) {
      for (int k = first; k < first + 4; ++k) {
        const int weight = j < n_cols && k < n_k ? w[j * stride + k] : 0;
        *panel++ = static_cast<uint8_t>(weight + 128);
      }
    }
  }
}

void gemm_i8_4x16_dotprod(const uint8_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* panel,
                          int n_k, int32_t* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) { run_rows(rows, a, a_stride, panel, n_k, c, c_stride); };
  switch (n_rows) {
    case 1:
      return run(std::make_integer_sequence<int, 1>());
    case 2:
      return run(std::make_integer_sequence<int, 2>());
    case 3:
      return run(std::make_integer_sequence<int, 3>());
    case 4:
      return run(std::make_integer_sequence<int, 4>());
    default:
      return;
  }
}

}  // namespace earbit
