// Counts of binary convolutions for AVX2: look-ups of two outputs at a time (look_up_avx2.h), whose
// tables follow from weights, with the channels of 32 frames as indices.
#include <immintrin.h>

#include <utility>

#include "bits/layout.h"
#include "kernels/conv_b1.h"

namespace earbit {
namespace {

#include "kernels/look_up_avx2.h"
#include "kernels/with_rows.h"

// Compile-time constants, because code of this file must not run before AVX2 was detected.
constexpr Tables kXor(BitOp::exclusive_or);
constexpr Tables kAnd(BitOp::conjunction);

constexpr int kVectors = 2;        // of 32 frames
constexpr int kTapsPerFlush = 60;  // sums of 4 bits each: 240 <= 255

void store_counts(const Wide& wide, uint16_t* counts) {
  const __m256i low = _mm256_unpacklo_epi16(wide.even, wide.odd);   // 0 to 7 and 16 to 23
  const __m256i high = _mm256_unpackhi_epi16(wide.even, wide.odd);  // 8 to 15 and 24 to 31
  auto* out = reinterpret_cast<__m256i*>(counts);
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
}

// Tiles (pair of outputs t / kVectors, vector of frames t % kVectors) are a pack of constants, not
// a loop: their sums must live in registers.
template <int... t>
void count_windows(std::integer_sequence<int, t...>, const uint8_t* planes, ptrdiff_t stride,
                   int kernel, int n_planes, const uint16_t* weights, const uint8_t* tables,
                   uint16_t* counts) {
  constexpr int kTiles = sizeof...(t);
  const ptrdiff_t n_steps = static_cast<ptrdiff_t>(kernel) * n_planes;
  Wide wide[2 * kTiles] = {};
  for (int q = 0; q < n_planes; ++q, planes += stride) {
    for (int k = 0; k < kernel;) {
      const int left = kernel - k;
      const int last = k + (left < kTapsPerFlush ? left : kTapsPerFlush);
      __m256i all[kTiles];
      __m256i high[kTiles];
      ((all[t] = high[t] = _mm256_setzero_si256()), ...);
      const auto add = [&](auto n) __attribute__((always_inline)) {
        const auto step = [&](int tile, int s) __attribute__((always_inline)) {
          const uint16_t offset = weights[tile / kVectors * n_steps + s];
          const __m256i table = table_at(tables, offset);
          return _mm256_shuffle_epi8(table, load(planes + k + s + tile % kVectors * 32));
        };
        __m256i both[kTiles] = {step(t, 0)...};
        if constexpr (n == 3) {
          ((both[t] = _mm256_add_epi8(both[t], step(t, 1))), ...);
          ((both[t] = _mm256_add_epi8(both[t], step(t, 2))), ...);
        }
        ((all[t] = kept(_mm256_add_epi8(all[t], both[t]))), ...);
        ((high[t] = kept(_mm256_add_epi8(high[t], high_halves(both[t])))), ...);
        k += n;
        weights += n;
      };
      while (k + 3 <= last) add(std::integral_constant<int, 3>());
      while (k < last) add(std::integral_constant<int, 1>());
      (flush(all[t], high[t], false, wide[2 * t], wide[2 * t + 1]), ...);
    }
  }
  const auto put = [&](int tile) {
    uint16_t* to = counts + tile / kVectors * 2 * kConvFrames + tile % kVectors * 32;
    store_counts(wide[2 * tile], to);
    store_counts(wide[2 * tile + 1], to + kConvFrames);
  };
  (put(t), ...);
}

}  // namespace

void conv_b1_avx2_split(const uint64_t* x, int64_t n_frames, int n_words, int n_planes,
                        uint8_t* planes, ptrdiff_t stride) {
  for (int64_t t = 0; t < n_frames; t += kConvFrames) {
    const int64_t left = n_frames - t;
    for (int k = 0; k < n_words; ++k) {
      const int n_here =
          n_planes - k * kQuarters < kQuarters ? n_planes - k * kQuarters : kQuarters;
      split_words(x + t * n_words + k, n_words, static_cast<int>(left < 64 ? left : 64), n_here,
                  planes + k * kQuarters * stride + t, stride);
    }
  }
}

void conv_b1_avx2_pack(const uint64_t* first, const uint64_t* second, int kernel, int n_words,
                       int n_planes, uint16_t* weights) {
  for (int q = 0; q < n_planes; ++q) {
    for (int k = 0; k < kernel; ++k) {
      const int word = k * n_words + q / kQuarters;
      const int shift = q % kQuarters * 4;
      const uint64_t both = (first[word] >> shift & 15) | (second[word] >> shift & 15) << 4;
      *weights++ = static_cast<uint16_t>(both * sizeof(kXor.counts[0]));
    }
  }
}

void conv_b1_avx2(const uint8_t* planes, ptrdiff_t stride, int kernel, int n_planes,
                  const uint16_t* weights, int n_outputs, BitOp op, uint16_t* counts) {
  const Tables& tables = op == BitOp::exclusive_or ? kXor : kAnd;
  with_rows<kConvOutputs / 2>(n_outputs / 2, [&](auto pairs) {
    count_windows(std::make_integer_sequence<int, kVectors * pairs.size()>(), planes, stride,
                  kernel, n_planes, weights, tables.counts[0], counts);
  });
}

}  // namespace earbit
