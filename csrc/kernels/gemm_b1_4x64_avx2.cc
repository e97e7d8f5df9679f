// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX2, which has no popcount, by table look-up.
//
// Four bits of a row leave 16 possible counts T[w4] = popcount(a4 OP w4); vpshufb looks up the
// four bits of 32 outputs in one instruction and vpaddb adds them: 128 one-bit products in two
// instructions.  A byte of a row selects its two tables (low and high half) from 256 pairs.
// Panel: the low halves of byte b of the 64 outputs, then the high halves, 16 x 64 bytes per word.
// A byte per half byte costs memory, but splitting bytes in the kernel would cost a fifth of the
// speed.  Output 8 j + d of 32 is at byte 4 d + j, so widening to int32 restores the order.
// Counts stay in bytes for 3 words (24 bytes x 8 bits = 192 <= 255), in 16 bits for 1020 words.
#include <immintrin.h>

#include <utility>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

#include "kernels/with_rows.h"

constexpr int kCols = 64;
constexpr int kBytesPerFlush = 24;
constexpr int kWordsPerSpan = 1020;

// For each byte of a row: the table of its low half, then of its high half.
struct Tables {
  alignas(32) uint8_t half[256][2][16] = {};

  constexpr explicit Tables(BitOp op) {
    for (int byte = 0; byte < 256; ++byte) {
      for (int w = 0; w < 16; ++w) {
        for (int h = 0; h < 2; ++h) {
          const int a = h ? byte >> 4 : byte & 15;
          const int bits = op == BitOp::exclusive_or ? a ^ w : a & w;
          half[byte][h][w] = static_cast<uint8_t>(__builtin_popcount(static_cast<unsigned>(bits)));
        }
      }
    }
  }
};

// A compile-time constant, because code of this file must not run before AVX2 was detected.
constexpr Tables kXor(BitOp::exclusive_or);
constexpr Tables kAnd(BitOp::conjunction);

inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

// Adds bytes of 64 outputs (two registers) to 16-bit counts: even bytes, then odd bytes.
inline void widen(__m256i low, __m256i high, __m256i* wide) {
  const __m256i even = _mm256_set1_epi16(0xff);
  wide[0] = _mm256_add_epi16(wide[0], _mm256_and_si256(low, even));
  wide[1] = _mm256_add_epi16(wide[1], _mm256_srli_epi16(low, 8));
  wide[2] = _mm256_add_epi16(wide[2], _mm256_and_si256(high, even));
  wide[3] = _mm256_add_epi16(wide[3], _mm256_srli_epi16(high, 8));
}

inline void store(const __m256i* wide, bool is_first, int32_t* c) {
  const __m256i even = _mm256_set1_epi32(0xffff);
  for (int half = 0; half < 2; ++half) {
    const __m256i evens = wide[2 * half];
    const __m256i odds = wide[2 * half + 1];
    const __m256i counts[4] = {_mm256_and_si256(evens, even), _mm256_and_si256(odds, even),
                               _mm256_srli_epi32(evens, 16), _mm256_srli_epi32(odds, 16)};
    for (int j = 0; j < 4; ++j) {
      auto* out = reinterpret_cast<__m256i*>(c + 32 * half + 8 * j);
      _mm256_storeu_si256(out, is_first ? counts[j] : _mm256_add_epi32(load(out), counts[j]));
    }
  }
}

// Rows are a pack of constants, not a loop: the counts must live in registers.
template <int... row>
void run_rows(std::integer_sequence<int, row...>, const uint64_t* a, ptrdiff_t a_stride,
              const uint8_t* w, int n_words, const Tables& tables, bool is_first, int32_t* c,
              ptrdiff_t c_stride) {
  constexpr int kRows = sizeof...(row);
  const uint8_t* bytes[kRows] = {reinterpret_cast<const uint8_t*>(a + row * a_stride)...};
  __m256i wide[kRows][4] = {};
  __m256i low[kRows];
  __m256i high[kRows];
  const auto look_up = [&](__m256i& first, __m256i& second, const uint8_t* table, __m256i w0,
                           __m256i w1) {
    const __m256i counts =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    first = _mm256_add_epi8(first, _mm256_shuffle_epi8(counts, w0));
    second = _mm256_add_epi8(second, _mm256_shuffle_epi8(counts, w1));
    // A barrier without instructions: reordered sums would not fit the registers.
    asm("" : "+x"(first), "+x"(second));
  };
  const int n_bytes = 8 * n_words;
  for (int b = 0; b < n_bytes;) {
    const int last = b + kBytesPerFlush < n_bytes ? b + kBytesPerFlush : n_bytes;
    ((low[row] = high[row] = _mm256_setzero_si256()), ...);
    for (; b < last; ++b, w += 2 * kCols) {
      const __m256i w0 = load(w);
      const __m256i w1 = load(w + 32);
      (look_up(low[row], high[row], tables.half[bytes[row][b]][0], w0, w1), ...);
      const __m256i w2 = load(w + 64);
      const __m256i w3 = load(w + 96);
      (look_up(low[row], high[row], tables.half[bytes[row][b]][1], w2, w3), ...);
    }
    (widen(low[row], high[row], wide[row]), ...);
  }
  (store(wide[row], is_first, c + row * c_stride), ...);
}

}  // namespace

void gemm_b1_4x64_avx2_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                            uint64_t* panel) {
  auto* out = reinterpret_cast<uint8_t*>(panel);
  for (int k = 0; k < n_words; ++k) {
    for (int quarter = 0; quarter < 16; ++quarter) {
      for (int place = 0; place < kCols; ++place) {
        const int j = place / 32 * 32 + place % 4 * 8 + place % 32 / 4;
        const uint64_t word = j < n_cols ? w[j * stride + k] : 0;
        *out++ = static_cast<uint8_t>((word >> (4 * quarter)) & 15);
      }
    }
  }
}

void gemm_b1_4x64_avx2(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                       int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const Tables& tables = op == BitOp::exclusive_or ? kXor : kAnd;
  int first = 0;
  do {
    const int span = n_words - first < kWordsPerSpan ? n_words - first : kWordsPerSpan;
    const auto* w = reinterpret_cast<const uint8_t*>(panel) + ptrdiff_t{first} * 16 * kCols;
    const auto run = [&](auto rows) {
      run_rows(rows, a + first, a_stride, w, span, tables, first == 0, c, c_stride);
    };
    with_rows<4>(n_rows, run);
    first += span;
  } while (first < n_words);
}

}  // namespace earbit
