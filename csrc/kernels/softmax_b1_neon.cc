// softmax_b1 with counts in bytes: 16 keys per vector and four queries per load of keys.
//
// Per 16 keys and query: EOR, CNT and ADD for each byte, as in gemm_b1.  Then a subtraction, one
// TBL of up to 64 weights for each of the four bytes of a weight, four UADALP to add them, and one
// comparison.
#include <arm_neon.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "bits/layout.h"
#include "kernels/gemm_b1.h"
#include "kernels/softmax_b1.h"

namespace earbit {
namespace {

#include "kernels/count_neon.h"
#include "kernels/softmax_b1_shared.h"
#include "kernels/with_rows.h"

constexpr int kAtOnce = 4;  // queries

void store(uint8_t* to, const Counts& counts) {
  for (int v = 0; v < 4; ++v) vst1q_u8(to + 16 * v, counts.of[v]);
}

// Counts of the words that contain [from, to), those of query i from i * n_counts on.  Queries are
// a pack of constants, not a loop: the counts must live in registers.
template <int... row>
void count_keys(std::integer_sequence<int, row...>, const uint64_t* q, const uint8_t* keys,
                int n_words, int64_t from, int64_t to, uint8_t* counts, int64_t n_counts) {
  const uint8_t* bytes[] = {
      reinterpret_cast<const uint8_t*>(q + static_cast<ptrdiff_t>(row) * n_words)...};
  const uint8x16_t zero = vdupq_n_u8(0);
  const uint8_t* block = keys + first_of(from) * 8 * n_words;
  for (int64_t j = first_of(from); j < last_of(to); j += kKeyBlock) {
    Counts sums[] = {{(static_cast<void>(row), zero), zero, zero, zero}...};
    for (int b = 0; b < 8 * n_words; ++b, block += kKeyBlock) {
      const Counts columns = columns_at(block);
      // A barrier, as in gemm_b1.
      ((count_row<BitOp::exclusive_or>(sums[row], bytes[row][b], columns),
        std::atomic_signal_fence(std::memory_order_seq_cst)),
       ...);
    }
    (store(counts + row * n_counts + j, sums[row]), ...);
  }
}

// Least and largest of some counts.
struct Spread {
  int32_t least;
  int32_t most;
};

// Those of the keys [from, to); sets counts of other keys in their words to kHidden.
Spread spread_of(uint8_t* counts, int64_t from, int64_t to) {
  const int64_t first = first_of(from);
  const int64_t last = last_of(to);
  for (int64_t j = first; j < from; ++j) counts[j] = kHidden;
  for (int64_t j = to; j < last; ++j) counts[j] = kHidden;
  uint8x16_t least = vdupq_n_u8(kHidden);
  uint8x16_t most = vdupq_n_u8(0);  // of count + 1, 0 for hidden ones
  for (int64_t j = first; j < last; j += 16) {
    const uint8x16_t some = vld1q_u8(counts + j);
    least = vminq_u8(least, some);
    most = vmaxq_u8(most, vaddq_u8(some, vdupq_n_u8(1)));
  }
  return {vminvq_u8(least), vmaxvq_u8(most) - 1};
}

// One byte of each of 16, 32 or 64 weights.
template <int kSixteens>
struct Weights;

template <>
struct Weights<1> {
  explicit Weights(const uint8_t* bytes) : of(vld1q_u8(bytes)) {}
  uint8x16_t at(uint8x16_t index) const { return vqtbl1q_u8(of, index); }
  uint8x16_t of;
};

template <>
struct Weights<2> {
  explicit Weights(const uint8_t* bytes) : of{{vld1q_u8(bytes), vld1q_u8(bytes + 16)}} {}
  uint8x16_t at(uint8x16_t index) const { return vqtbl2q_u8(of, index); }
  uint8x16x2_t of;
};

template <>
struct Weights<4> {
  explicit Weights(const uint8_t* bytes)
      : of{{vld1q_u8(bytes), vld1q_u8(bytes + 16), vld1q_u8(bytes + 32), vld1q_u8(bytes + 48)}} {}
  uint8x16_t at(uint8x16_t index) const { return vqtbl4q_u8(of, index); }
  uint8x16x4_t of;
};

// Sum of the weights `first` to `first + 16 kSixteens - 1` of n counts, a multiple of kKeyBlock.
template <int kSixteens>
uint64_t total_of(const ExpTable& table, int first, const uint8_t* counts, int64_t n,
                  int32_t least) {
  // Each vector adds up to 2 x 255 to sums of 16 bits, 128 vectors 65,280.
  constexpr int64_t kKeysPerFlush = 16 * 128;
  const uint8_t* bytes = table.bytes + first;
  const Weights<kSixteens> weights0(bytes);
  const Weights<kSixteens> weights1(bytes + kByteWeights);
  const Weights<kSixteens> weights2(bytes + 2 * kByteWeights);
  const Weights<kSixteens> weights3(bytes + 3 * kByteWeights);
  const uint8x16_t start = vdupq_n_u8(static_cast<uint8_t>(least + first));
  uint64_t total = 0;
  for (int64_t j = 0; j < n;) {
    const int64_t end = std::min(j + kKeysPerFlush, n);
    uint16x8_t sum0 = vdupq_n_u16(0);
    uint16x8_t sum1 = sum0;
    uint16x8_t sum2 = sum0;
    uint16x8_t sum3 = sum0;
    for (; j < end; j += 16) {
      // An index beyond the last weight gives 0.
      const uint8x16_t index = vsubq_u8(vld1q_u8(counts + j), start);
      sum0 = vpadalq_u8(sum0, weights0.at(index));
      sum1 = vpadalq_u8(sum1, weights1.at(index));
      sum2 = vpadalq_u8(sum2, weights2.at(index));
      sum3 = vpadalq_u8(sum3, weights3.at(index));
    }
    total += vaddlvq_u16(sum0) + (static_cast<uint64_t>(vaddlvq_u16(sum1)) << 8) +
             (static_cast<uint64_t>(vaddlvq_u16(sum2)) << 16) +
             (static_cast<uint64_t>(vaddlvq_u16(sum3)) << 24);
  }
  return total;
}

uint64_t total_of_weights(const ExpTable& table, const uint8_t* counts, int64_t n,
                          const Spread& spread) {
  const int32_t n_values = std::min(table.size, spread.most - spread.least + 1);
  uint64_t total = 0;
  if (n_values <= kByteWeights) {
    // Look-ups reach less than 32 values beyond n_values and so end before kHidden, since no count
    // is above 192.
    for (int first = 0; first < n_values; first += 64) {
      const int left = n_values - first;
      const auto total_from = left > 32 ? total_of<4> : left > 16 ? total_of<2> : total_of<1>;
      total += total_from(table, first, counts, n, spread.least);
    }
    return total;
  }
  for (int64_t j = 0; j < n; ++j) {
    total += counts[j] == kHidden ? 0 : table.fixed[counts[j] - spread.least];
  }
  return total;
}

// Bits of 64 counts that are below `end`.
uint64_t below(const uint8_t* counts, uint8x16_t end) {
  constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bit = vld1q_u8(kBit);
  const auto sixteen = [&](int j) { return vandq_u8(vcltq_u8(vld1q_u8(counts + j), end), bit); };
  const uint8x16_t low = vpaddq_u8(sixteen(0), sixteen(16));
  const uint8x16_t quarters = vpaddq_u8(low, vpaddq_u8(sixteen(32), sixteen(48)));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
}

}  // namespace

void softmax_b1_neon(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys,
                     void* room, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones) {
  const int n_words = queries.n_words;
  if (n_words > kByteWords) {
    softmax_b1_scalar(table, queries, keys, room, bits, bits_stride, ones);
    return;
  }
  int64_t n_counts = 0;
  for (int i = 0; i < queries.n; ++i) n_counts = std::max(n_counts, last_of(queries.to[i]));
  for (int i = 0; i < queries.n; i += kAtOnce) {
    const int n = std::min(kAtOnce, queries.n - i);
    with_rows<kAtOnce>(n, [&](auto rows) {
      count_keys(rows, queries.bits + static_cast<ptrdiff_t>(i) * n_words, keys, n_words,
                 *std::min_element(queries.from + i, queries.from + i + n),
                 *std::max_element(queries.to + i, queries.to + i + n),
                 static_cast<uint8_t*>(room) + i * n_counts, n_counts);
    });
  }
  for (int i = 0; i < queries.n; ++i) {
    uint8_t* counts = static_cast<uint8_t*>(room) + i * n_counts;
    const int64_t first = first_of(queries.from[i]);
    const int64_t last = last_of(queries.to[i]);
    const Spread spread = spread_of(counts, queries.from[i], queries.to[i]);
    const uint64_t total = total_of_weights(table, counts + first, last - first, spread);
    const int32_t end = std::min(spread.least + n_above(table, total), kHidden);
    const uint8x16_t limit = vdupq_n_u8(static_cast<uint8_t>(end));
    ones[i] = 0;
    for (int64_t j = first; j < last; j += kWordBits) {
      const uint64_t word = below(counts + j, limit);
      bits[i * bits_stride + j / kWordBits] = word;
      ones[i] += vaddv_u8(vcnt_u8(vcreate_u8(word)));
    }
  }
}

}  // namespace earbit
