// Binary convolution with stride 1 and groups of few channels or outputs: frames are the lanes of
// kernels/conv_b1.h.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "bits/layout.h"
#include "graph/op.h"
#include "kernels/conv_b1.h"
#include "kernels/elementwise.h"

namespace earbit {

class ConvAlongTime {
 public:
  // Nothing if products of panels are faster.  weight: (groups * n_out, kernel, words of n_bits).
  static std::optional<ConvAlongTime> made(int kernel, int n_bits, int n_out, int groups,
                                           bool is_unsigned, const uint64_t* weight) {
    const ConvB1Kernel* run = conv_b1_kernel(chosen_isa());
    const bool fits = kConvMostBits / n_bits >= kernel;
    if (run == nullptr || !fits || !ConvB1Kernel::is_faster(chosen_isa(), kernel, n_bits, n_out)) {
      return std::nullopt;
    }
    return ConvAlongTime(*run, kernel, n_bits, n_out, groups, is_unsigned, weight);
  }

  BlockRows block_rows() const {
    // Blocks repeat the frames of a window, and stay in the cache.
    constexpr int64_t kFloats = 1 << 16;
    const int64_t most = std::clamp<int64_t>(kFloats / (groups_ * n_out_), kConvFrames, 256);
    return {most / kConvFrames * kConvFrames, kConvFrames};
  }

  // For windows whose counts are computed one group after the other.
  struct Buffers {
    int64_t stride;  // of planes
    uint8_t* planes;
    int32_t* of_rows;  // (kConvFrames, n_out)
  };

  Buffers buffers(int64_t n_windows, Scratch& scratch) const {
    // Vectors of frames end behind the last window.
    const int64_t stride =
        (n_windows + kConvFrames - 1 + kernel_ + kConvFrames - 1) / kConvFrames * kConvFrames;
    auto* planes = scratch.take<uint8_t>(n_planes_ * stride);
    std::fill_n(planes, n_planes_ * stride, uint8_t{0});
    return {stride, planes, scratch.take<int32_t>(int64_t{kConvFrames} * n_out_)};
  }

  // Rows of a block of y = scale * dot + bias, from padded frames, `start` first.
  void run(const View& x, int64_t start, const float* scale, const float* bias,
           const ElementwiseKernels& elementwise, const Block& block) const {
    const View& y = block.y;
    const Buffers buffers = this->buffers(block.rows.size(), block.scratch);
    std::vector<int32_t> offsets(block.rows.size(), kernel_ * n_bits_);
    for (int g = 0; g < groups_; ++g) {
      const uint64_t* frames = x.bits_row(g, start);
      if (is_unsigned_) {
        count_ones(frames, elementwise, offsets);
        for (int32_t& offset : offsets) offset = -offset;
      }
      for_counts(g, frames, block.rows.size(), buffers, [&](int64_t row, int n_rows) {
        for (int j = 0; j < n_out_; j += kWordBits) {
          const DotTile tile{
              buffers.of_rows + j, n_out_, n_rows, std::min(kWordBits, n_out_ - j), !is_unsigned_,
              offsets.data() + row};
          const int column = g * n_out_ + j;
          elementwise.scale_dots(tile, scale + column, bias + column,
                                 y.row(block.rows.begin + row) + column, y.type.cols);
        }
      });
    }
  }

  // Calls each(row, n) for all of n_windows windows of a group, from frames of words of bits, with
  // the counts of windows row to row + n in `buffers`.
  template <typename Each>
  void for_counts(int g, const uint64_t* frames, int64_t n_windows, const Buffers& buffers,
                  Each&& each) const {
    run_->split(frames, n_windows + kernel_ - 1, static_cast<int>(words_for(n_bits_)), n_planes_,
                buffers.planes, buffers.stride);
    for (int64_t row = 0; row < n_windows; row += kConvFrames) {
      const auto n_rows = static_cast<int>(std::min<int64_t>(kConvFrames, n_windows - row));
      count(g, buffers.planes + row, buffers.stride, n_rows, buffers.of_rows);
      each(row, n_rows);
    }
  }

  // The ones of each window of frames.
  void count_ones(const uint64_t* frames, const ElementwiseKernels& elementwise,
                  std::vector<int32_t>& ones) const {
    const int64_t n_words = words_for(n_bits_);
    const auto ones_of = [&](size_t frame) {
      return static_cast<int32_t>(elementwise.n_ones(frames + frame * n_words, n_words));
    };
    auto sum = static_cast<int32_t>(elementwise.n_ones(frames, kernel_ * n_words));
    for (size_t t = 0; t < ones.size(); ++t) {
      ones[t] = sum;
      if (t + 1 < ones.size()) sum += ones_of(t + kernel_) - ones_of(t);
    }
  }

 private:
  ConvAlongTime(const ConvB1Kernel& run, int kernel, int n_bits, int n_out, int groups,
                bool is_unsigned, const uint64_t* weight)
      : run_(&run),
        kernel_(kernel),
        n_bits_(n_bits),
        n_planes_((n_bits + run.plane_bits - 1) / run.plane_bits),
        n_out_(n_out),
        groups_(groups),
        is_unsigned_(is_unsigned),
        weights_(static_cast<size_t>(groups) * n_pairs() * pair_size()) {
    const auto n_words = static_cast<int>(words_for(n_bits));
    const ptrdiff_t row = static_cast<ptrdiff_t>(kernel) * n_words;
    for (int g = 0; g < groups; ++g) {
      for (int j = 0; j < n_out; j += 2) {
        const uint64_t* first = weight + (static_cast<ptrdiff_t>(g) * n_out + j) * row;
        run.pack(first, j + 1 < n_out ? first + row : first, kernel, n_words, n_planes_,
                 weights_.data() + (static_cast<size_t>(g) * n_pairs() + j / 2) * pair_size());
      }
    }
  }

  int n_pairs() const { return (n_out_ + 1) / 2; }
  size_t pair_size() const { return static_cast<size_t>(kernel_) * n_planes_; }

  // Counts of n_rows windows for all outputs of a group, (n_rows, n_out).
  void count(int g, const uint8_t* planes, int64_t stride, int n_rows, int32_t* of_rows) const {
    uint16_t counts[kConvOutputs * kConvFrames];
    const BitOp op = is_unsigned_ ? BitOp::conjunction : BitOp::exclusive_or;
    for (int j = 0; j < n_out_; j += kConvOutputs) {
      const uint16_t* weights =
          weights_.data() + (static_cast<size_t>(g) * n_pairs() + j / 2) * pair_size();
      const int n = std::min(kConvOutputs, n_out_ - j);
      run_->run(planes, stride, kernel_, n_planes_, weights, (n + 1) / 2 * 2, op, counts);
      for (int t = 0; t < n_rows; ++t) {
        for (int l = 0; l < n; ++l) of_rows[t * n_out_ + j + l] = counts[l * kConvFrames + t];
      }
    }
  }

  const ConvB1Kernel* run_;
  int kernel_;
  int n_bits_;
  int n_planes_;
  int n_out_;
  int groups_;
  bool is_unsigned_;
  std::vector<uint16_t> weights_;
};

}  // namespace earbit
