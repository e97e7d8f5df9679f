// c[i][j] = sum_k a[i][k] * w[j][k] for NEON with dot products: 4 rows x 16 outputs in 16 sums.
//
// UDOT takes unsigned bytes, SDOT signed bytes, but codes are unsigned and weights are signed.  So
// weights are stored as w + 128, and sum a w = sum a (w + 128) - 128 sum a.  A separate loop sums
// the codes first, since the main loop has too few registers for them.  Sums wrap modulo 2^32, and
// the difference is exact.
// Panel: per four k, the four weights of each of the 16 outputs, adjacent.
#include <arm_neon.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "kernels/gemm_i8.h"

namespace earbit {
namespace {

#include "kernels/with_rows.h"

constexpr int kCols = 16;
constexpr int kFour = 4 * kCols;  // bytes of a panel per four k

struct Sums {
  uint32x4_t of[4];
};

// A function, because this intrinsic of clang is a macro, in which no pack can be expanded.
inline uint8x16_t codes_at(const uint8_t* a) { return vld1q_u8(a); }

// Codes beyond the end of a row are zeros.
inline uint8x16_t codes_at(const uint8_t* a, size_t n_codes) {
  uint8_t codes[16] = {};
  std::memcpy(codes, a, n_codes);
  return vld1q_u8(codes);
}

struct Weights {
  uint8x16_t of[4];
};

inline Weights weights_at(const uint8_t* panel) {
  return {vld1q_u8(panel), vld1q_u8(panel + 16), vld1q_u8(panel + 32), vld1q_u8(panel + 48)};
}

// Products of four of a row's codes.
template <int lane>
[[gnu::always_inline]] inline void add(Sums& sums, uint8x16_t x, const Weights& w) {
  sums.of[0] = vdotq_laneq_u32(sums.of[0], w.of[0], x, lane);
  sums.of[1] = vdotq_laneq_u32(sums.of[1], w.of[1], x, lane);
  sums.of[2] = vdotq_laneq_u32(sums.of[2], w.of[2], x, lane);
  sums.of[3] = vdotq_laneq_u32(sums.of[3], w.of[3], x, lane);
}

// The contribution of the offset 128 to every sum of a row.
inline uint32_t excess_of(const uint8_t* a, int n_k) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (; n_k >= 16; n_k -= 16, a += 16) sum = vdotq_u32(sum, vld1q_u8(a), vdupq_n_u8(1));
  if (n_k > 0) sum = vdotq_u32(sum, codes_at(a, static_cast<size_t>(n_k)), vdupq_n_u8(1));
  return 128 * vaddvq_u32(sum);
}

// Unrolled, because compilers keep arrays that are indexed in loops in memory.
inline void store(int32_t* out, const Sums& sums, uint32_t row_excess) {
  const uint32x4_t excess = vdupq_n_u32(row_excess);
  vst1q_s32(out, vreinterpretq_s32_u32(vsubq_u32(sums.of[0], excess)));
  vst1q_s32(out + 4, vreinterpretq_s32_u32(vsubq_u32(sums.of[1], excess)));
  vst1q_s32(out + 8, vreinterpretq_s32_u32(vsubq_u32(sums.of[2], excess)));
  vst1q_s32(out + 12, vreinterpretq_s32_u32(vsubq_u32(sums.of[3], excess)));
}

template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint8_t* a, ptrdiff_t a_stride,
              const uint8_t* panel, int n_k, int32_t* c, ptrdiff_t c_stride) {
  const uint32x4_t zero = vdupq_n_u32(0);
  const uint32_t excess[] = {excess_of(a + row * a_stride, n_k)...};
  Sums sums[] = {{{(static_cast<void>(row), zero), zero, zero, zero}}...};
  const auto add_four = [&]<int lane>(std::integer_sequence<int, lane>, const auto&... x) {
    const Weights w = weights_at(panel + lane * kFour);
    (add<lane>(sums[row], x, w), ...);
    // A barrier without instructions: loading the weights of all lanes at once would leave no
    // registers for sums.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  };
  const auto add_all = [&](int n_lanes, auto... x) {
    add_four(std::integer_sequence<int, 0>(), x...);
    if (n_lanes > 1) add_four(std::integer_sequence<int, 1>(), x...);
    if (n_lanes > 2) add_four(std::integer_sequence<int, 2>(), x...);
    if (n_lanes > 3) add_four(std::integer_sequence<int, 3>(), x...);
  };
  for (; n_k >= 16; n_k -= 16, a += 16, panel += 4 * kFour) {
    add_all(4, codes_at(a + row * a_stride)...);
  }
  if (n_k > 0) {
    add_all((n_k + 3) / 4, codes_at(a + row * a_stride, static_cast<size_t>(n_k))...);
  }
  (store(c + row * c_stride, sums[row], excess[row]), ...);
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
  with_rows<4>(n_rows, run);
}

}  // namespace earbit
