// depthwise_b1: depthwise convolution with one kernel per channel, weights and inputs are bits.
//
// Input bits in frame order are transposed to time order, so a window of up to 64 frames is one
// word.  Padding frames are bit 0, the lower value of the set, as in training.  The output is
// y = scale * dot + bias, or the bit dot >= threshold.
#include "kernels/depthwise_b1.h"

#include <algorithm>

#include "bits/transpose.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "ops/pack_row.h"
#include "ops/thresholds.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class DepthwiseB1 : public Op {
 public:
  DepthwiseB1(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        in_(inputs[0]),
        is_unsigned_(attributes.integer("unsigned", 0, 1) == 1),
        elementwise_(elementwise_kernels(chosen_isa())),
        kernel_(depthwise_b1_kernel(chosen_isa())) {
    if (in_.groups != 1) {
      throw std::invalid_argument("the input has " + std::to_string(in_.groups) +
                                  " groups; a depthwise convolution reads one");
    }
    const int n = in_.bits_per_group;
    const int n_words = static_cast<int>(words_for(windows_.elements(1)));
    const Elements<uint64_t> weight = attributes.u64("weight", {n, n_words});
    weight_.assign(static_cast<size_t>(n_words) * padded_channels(), 0);
    const int tail = windows_.kernel % kWordBits;
    for (int c = 0; c < n; ++c) {
      const uint64_t* row = weight.data() + static_cast<size_t>(c) * n_words;
      if (tail != 0 && row[n_words - 1] >> tail != 0) {
        throw std::invalid_argument("weight has bits set beyond its " +
                                    std::to_string(windows_.kernel) + " taps");
      }
      for (int k = 0; k < n_words; ++k) {
        weight_[static_cast<size_t>(k) * padded_channels() + c] = row[k];
      }
    }
    if (attributes.has_tensor("threshold")) {
      threshold_ = thresholds_of(attributes, n);
      type_ = in_;
    } else {
      scale_ = attributes.f32("scale", {n});
      bias_ = attributes.f32("bias", {n});
      type_ = Type::floats(n);
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t) const override { return windows_.needs(0); }

  // Words of 64 frames are transposed at the borders of blocks twice.
  BlockRows block_rows() const override { return {256, 64}; }

  void run_rows(const Block& block) const override {
    const int64_t first = windows_.first(block.rows.begin);
    const int64_t n_frames = (block.rows.size() - 1) * windows_.stride + windows_.kernel;
    const uint64_t* transposed =
        along_time(block.inputs[0].bits_row(0, first), n_frames, block.scratch);
    auto* dot = block.scratch.take<int32_t>(padded_channels());
    for (int64_t t = block.rows.begin; t < block.rows.end; ++t) {
      const int64_t start = windows_.first(t) - first;
      kernel_.run(transposed + start / kWordBits * padded_channels(), weight_.data(),
                  padded_channels(), windows_.kernel, static_cast<int>(start % kWordBits),
                  is_unsigned_, dot);
      if (type_.kind == Kind::bits) {
        pack_row<int32_t>(elementwise_.at_least_i32, dot, threshold_.data(), t, block.y);
      } else {
        elementwise_.scale_i32(dot, scale_.data(), bias_.data(), block.y.row(t), type_.cols);
      }
    }
  }

 private:
  int padded_channels() const {
    return (in_.bits_per_group + kDepthwiseLanes - 1) / kDepthwiseLanes * kDepthwiseLanes;
  }

  // Word k of channel c, at [k * padded_channels() + c], holds 64 frames from 64 k.  There is one
  // word more than the windows need.
  const uint64_t* along_time(const uint64_t* frames, int64_t n_frames, Scratch& scratch) const {
    const int64_t n_blocks = words_for(n_frames);
    const int64_t n_words = (n_blocks + 1) * padded_channels();
    auto* transposed = scratch.take<uint64_t>(n_words);
    std::fill_n(transposed, n_words, uint64_t{0});
    for (int64_t block = 0; block < n_blocks; ++block) {
      transpose_rows(frames, n_frames, in_.bits_per_group, block,
                     transposed + block * padded_channels(), 1);
    }
    return transposed;
  }

  Windows windows_;
  Type in_;
  bool is_unsigned_;
  const ElementwiseKernels& elementwise_;
  const DepthwiseB1Kernel& kernel_;
  std::vector<uint64_t> weight_;  // as `along_time`: word by word
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> threshold_;
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_depthwise_b1(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_bits(inputs, 1);
  return std::make_unique<DepthwiseB1>(inputs, attributes);
}

}  // namespace earbit
