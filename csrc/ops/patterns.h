// The fixed and the strided pattern of Child et al. (arXiv 1904.10509), without their causal half:
// which of n frames a frame sees.  Near frames are an interval around it; far frames are all over
// the audio, the same ones for all queries of a class: first, first + step, ...
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph/attributes.h"
#include "ops/frame_list.h"

namespace earbit {

constexpr int kMaxStride = 1 << 20;
constexpr int64_t kPatternRows = 48;  // that are computed together where a pattern does not say

// [from, to)
struct Interval {
  int64_t from;
  int64_t to;
};

// Near: the frame's own block of `stride`; far: the last `expressivity` frames of every block.
struct FixedPattern {
  int stride;
  int expressivity;

  static FixedPattern read(Attributes& attributes) {
    const int stride = attributes.integer("stride", 1, kMaxStride);
    return {stride, attributes.integer("expressivity", 1, stride)};
  }

  int64_t n_classes(int64_t) const { return 1; }
  int64_t step() const { return 1; }
  // Rows whose near frames are computed together.
  int64_t block_rows() const { return stride; }

  Interval near(int64_t i, int64_t n) const {
    const int64_t from = i / stride * stride;
    return {from, std::min(n, from + stride)};
  }

  FrameList far(int64_t, int64_t n) const {
    FrameList frames;
    for (int64_t block = 0; block < n; block += stride) {
      const int64_t end = std::min(n, block + stride);
      for (int64_t j = block + stride - expressivity; j < end; ++j) frames.push_back(j);
    }
    return frames;
  }

  // Places in the list of far frames that are near ones too.
  Interval shared(int64_t i, int64_t n_far) const {
    const int64_t from = std::min(n_far, i / stride * expressivity);
    return {from, std::min(n_far, from + expressivity)};
  }
};

// Near: at most `stride` frames away; far: any multiple of `stride` frames away.
struct StridedPattern {
  int stride;

  static StridedPattern read(Attributes& attributes) {
    return {attributes.integer("stride", 1, kMaxStride)};
  }

  int64_t n_classes(int64_t n) const { return std::min<int64_t>(stride, n); }
  int64_t step() const { return stride; }
  int64_t block_rows() const { return kPatternRows; }

  Interval near(int64_t i, int64_t n) const {
    return {std::max<int64_t>(0, i - stride), std::min<int64_t>(n, i + stride + 1)};
  }

  FrameList far(int64_t first, int64_t n) const {
    FrameList frames;
    for (int64_t j = first; j < n; j += stride) frames.push_back(j);
    return frames;
  }

  Interval shared(int64_t i, int64_t n_far) const {
    const int64_t place = i / stride;
    return {std::clamp<int64_t>(place - 1, 0, n_far), std::min(n_far, place + 2)};
  }
};

// Heads before `n_near` see near frames, heads from `first_far` on far ones; a head that sees both
// has one softmax over them, in which no frame is twice.
struct PatternHeads {
  int n_near;
  int first_far;

  static PatternHeads read(Attributes& attributes, int n_heads) {
    const int n_near = attributes.integer("near_heads", 0, n_heads);
    // At most n_near, so that every head sees something.
    return {n_near, attributes.integer("first_far_head", 0, n_near)};
  }

  bool sees_near(int h) const { return h < n_near; }
  bool sees_far(int h) const { return h >= first_far; }
};

}  // namespace earbit
