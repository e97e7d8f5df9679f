// c[i][j] = sum_k popcount(a[i][k] OP w[j][k]) for AVX2, which has no popcount: by table look-up.
//
// Four bits of a row leave 16 possible tables T[w4] = popcount(a4 OP w4); vpshufb looks the four
// bits of 32 outputs up in one instruction, vpaddb adds them: 128 one-bit products in two
// instructions.  A byte of a row picks its two tables (low and high half) from 256 pairs.
// Panel: byte b of word k of the 64 outputs side by side, 8 x 64 bytes per word.
// Counts stay in bytes for 3 words (24 bytes x 8 bits = 192 <= 255), then go to int32.
#include <immintrin.h>

#include <cstring>

#include "kernels/gemm_b1.h"

namespace earbit {
namespace {

constexpr int kRows = 4;
constexpr int kCols = 64;
constexpr int kWordsPerFlush = 3;

// For each byte of a row: the table of its low half, twice (one per 128-bit lane), then of its
// high.
struct Tables {
  alignas(64) uint8_t pair[256][64] = {};

  constexpr explicit Tables(BitOp op) {
    for (int byte = 0; byte < 256; ++byte) {
      for (int w = 0; w < 16; ++w) {
        for (int half = 0; half < 2; ++half) {
          const int a = half ? byte >> 4 : byte & 15;
          const int bits = op == BitOp::exclusive_or ? a ^ w : a & w;
          const auto count = static_cast<uint8_t>(__builtin_popcount(static_cast<unsigned>(bits)));
          pair[byte][half * 32 + w] = count;
          pair[byte][half * 32 + 16 + w] = count;
        }
      }
    }
  }
};

// Computed by the compiler: code of this file must not run before the CPU was asked for AVX2.
constexpr Tables kXor(BitOp::exclusive_or);
constexpr Tables kAnd(BitOp::conjunction);

inline void add_to(int32_t* c, __m256i bytes) {
  alignas(32) uint8_t count[32];
  _mm256_store_si256(reinterpret_cast<__m256i*>(count), bytes);
  for (int j = 0; j < 32; j += 8) {
    auto* out = reinterpret_cast<__m256i*>(c + j);
    const __m256i wide =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(count + j)));
    _mm256_storeu_si256(out, _mm256_add_epi32(_mm256_loadu_si256(out), wide));
  }
}

template <int n_rows>
void run_rows(const uint64_t* a, ptrdiff_t a_stride, const uint64_t* panel, int n_words,
              const Tables& tables, int32_t* c, ptrdiff_t c_stride) {
  const auto* w = reinterpret_cast<const uint8_t*>(panel);
  const __m256i low_half = _mm256_set1_epi8(15);
  for (int i = 0; i < n_rows; ++i) std::memset(c + i * c_stride, 0, kCols * sizeof(int32_t));
  for (int first = 0; first < n_words; first += kWordsPerFlush) {
    const int n = n_words - first < kWordsPerFlush ? n_words - first : kWordsPerFlush;
    const uint8_t* row[n_rows];
    __m256i count[n_rows][2];
    for (int i = 0; i < n_rows; ++i) {
      row[i] = reinterpret_cast<const uint8_t*>(a + i * a_stride + first);
      count[i][0] = count[i][1] = _mm256_setzero_si256();
    }
    for (int b = 0; b < 8 * n; ++b, w += kCols) {
      const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
      const __m256i w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32));
      const __m256i low0 = _mm256_and_si256(w0, low_half);
      const __m256i low1 = _mm256_and_si256(w1, low_half);
      const __m256i high0 = _mm256_and_si256(_mm256_srli_epi16(w0, 4), low_half);
      const __m256i high1 = _mm256_and_si256(_mm256_srli_epi16(w1, 4), low_half);
      for (int i = 0; i < n_rows; ++i) {
        const auto* table = reinterpret_cast<const __m256i*>(tables.pair[row[i][b]]);
        const __m256i low = _mm256_load_si256(table);
        const __m256i high = _mm256_load_si256(table + 1);
        count[i][0] = _mm256_add_epi8(count[i][0], _mm256_shuffle_epi8(low, low0));
        count[i][1] = _mm256_add_epi8(count[i][1], _mm256_shuffle_epi8(low, low1));
        count[i][0] = _mm256_add_epi8(count[i][0], _mm256_shuffle_epi8(high, high0));
        count[i][1] = _mm256_add_epi8(count[i][1], _mm256_shuffle_epi8(high, high1));
      }
    }
    for (int i = 0; i < n_rows; ++i) {
      add_to(c + i * c_stride, count[i][0]);
      add_to(c + i * c_stride + 32, count[i][1]);
    }
  }
}

}  // namespace

void gemm_b1_4x64_avx2_pack(const uint64_t* w, ptrdiff_t stride, int n_cols, int n_words,
                            uint64_t* panel) {
  auto* out = reinterpret_cast<uint8_t*>(panel);
  for (int k = 0; k < n_words; ++k) {
    for (int b = 0; b < 8; ++b) {
      for (int j = 0; j < kCols; ++j) {
        *out++ = j < n_cols ? static_cast<uint8_t>(w[j * stride + k] >> (8 * b)) : 0;
      }
    }
  }
}

void gemm_b1_4x64_avx2(const uint64_t* a, ptrdiff_t a_stride, int n_rows, const uint64_t* panel,
                       int n_words, BitOp op, int32_t* c, ptrdiff_t c_stride) {
  const Tables& tables = op == BitOp::exclusive_or ? kXor : kAnd;
  switch (n_rows) {
    case 1:
      return run_rows<1>(a, a_stride, panel, n_words, tables, c, c_stride);
    case 2:
      return run_rows<2>(a, a_stride, panel, n_words, tables, c, c_stride);
    case 3:
      return run_rows<3>(a, a_stride, panel, n_words, tables, c, c_stride);
    case kRows:
      return run_rows<kRows>(a, a_stride, panel, n_words, tables, c, c_stride);
    default:
      return;
  }
}

}  // namespace earbit
