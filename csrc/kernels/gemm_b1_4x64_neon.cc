// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for NEON.
//
// Lanes are outputs: a byte of a row is broadcast against the same byte of 16 outputs, so there are
// no sums across lanes, and short rows are as efficient as long ones.  128 one-bit products take
// three instructions, EOR (or AND), CNT and ADD, which bound the speed.  A tile of 4 rows x 4
// vectors adds a quarter of a broadcast, a quarter of a load, and 1/18 to widen the counts.
// Carry-save adders would take three instructions to save two.
// Counts stay in bytes for 3 words (24 bytes x 8 bits = 192 <= 255), then are added to int32.
// Panel: byte b of the 64 outputs, adjacent, 8 x 64 bytes per word.
#include <arm_neon.h>

#include <atomic>
#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

#include "kernels/count_neon.h"
#include "kernels/with_rows.h"

constexpr int kCols = 64;
constexpr int kBytesPerFlush = 24;

// Adds four 16-bit sums to four int32, or replaces them.
inline void put(int32_t* c, uint16x4_t sums, bool is_first) {
  const int32x4_t wide = vreinterpretq_s32_u32(vmovl_u16(sums));
  vst1q_s32(c, is_first ? wide : vaddq_s32(vld1q_s32(c), wide));
}

inline void put_row(const Counts& counts, int32_t* c, bool is_first) {
  for (int v = 0; v < 4; ++v, c += 16) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(counts.of[v]));
    const uint16x8_t high = vmovl_u8(vget_high_u8(counts.of[v]));
    put(c, vget_low_u16(low), is_first);
    put(c + 4, vget_high_u16(low), is_first);
    put(c + 8, vget_low_u16(high), is_first);
    put(c + 12, vget_high_u16(high), is_first);
  }
}

// Rows are a pack of constants, not a loop: the counts must live in registers.
template <BitOp op, int... row>
void run_rows(std::integer_sequence<int, row...>, const uint64_t* a, ptrdiff_t a_stride,
              const uint8_t* w, int n_words, int32_t* c, ptrdiff_t c_stride) {
  const uint8_t* bytes[] = {reinterpret_cast<const uint8_t*>(a + row * a_stride)...};
  const int n_bytes = 8 * n_words;
  int b = 0;
  bool is_first = true;
  do {
    const int last = b + kBytesPerFlush < n_bytes ? b + kBytesPerFlush : n_bytes;
    const uint8x16_t zero = vdupq_n_u8(0);
    Counts counts[] = {{(static_cast<void>(row), zero), zero, zero, zero}...};
    for (; b < last; ++b, w += kCols) {
      const Counts weight = columns_at(w);
      // A barrier without instructions: loading the bytes of all rows at once would leave too few
      // registers for counts.
      ((count_row<op>(counts[row], bytes[row][b], weight),
        std::atomic_signal_fence(std::memory_order_seq_cst)),
       ...);
    }
    (put_row(counts[row], c + row * c_stride, is_first), ...);
    is_first = false;
  } while (b < n_bytes);
}

template <BitOp op>
void run_op(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint8_t* w, int n_words,
            int32_t* c, ptrdiff_t c_stride) {
  const auto run = [&](auto rows) { run_rows<op>(rows, a, a_stride, w, n_words, c, c_stride); };
  with_rows<4>(n_rows, run);
}

}  // namespace

void gemm_b1_4x64_neon_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                            uint64_t* panel) {
  auto* out = reinterpret_cast<uint8_t*>(panel);
  for (int k = 0; k < n_words; ++k) {
    for (int byte = 0; byte < 8; ++byte) {
      for (int j = 0; j < kCols; ++j) {
        *out++ = j < n_cols ? static_cast<uint8_t>(w[j * stride + k] >> (8 * byte)) : 0;
      }
    }
  }
}

void gemm_b1_4x64_neon(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                       int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const auto* w = reinterpret_cast<const uint8_t*>(panel);
  if (op == BitOp::exclusive_or) {
    run_op<BitOp::exclusive_or>(a, a_stride, n_rows, w, n_words, c, c_stride);
  } else {
    run_op<BitOp::conjunction>(a, a_stride, n_rows, w, n_words, c, c_stride);
  }
}

}  // namespace earbit
