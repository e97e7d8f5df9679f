// gemm_planes, which is also conv_planes: weights are bits, inputs are bit planes of codes of 2 to
// 8 bits.
//
// With counts c_p = popcount(plane p and w) of the binary kernel and ones_p bits in plane p
//   dot = sum over planes of 2^p (2 c_p - ones_p) + low * (the sum of the output's signs)
// and y = scale * dot + bias.  Padding frames are the code 0, as in training.
#include <algorithm>
#include <optional>

#include "bits/planes.h"
#include "graph/op.h"
#include "kernels/elementwise.h"
#include "kernels/gemm_b1.h"
#include "ops/conv_along_time.h"
#include "ops/weight_bits.h"
#include "ops/windows.h"

namespace earbit {
namespace {

class GemmPlanes : public Op {
 public:
  GemmPlanes(const std::vector<Type>& inputs, Attributes& attributes)
      : windows_(Windows::read(attributes)),
        set_(inputs[0].set),
        groups_(attributes.integer("groups", 1, std::max(1, inputs[0].cols))),
        elementwise_(elementwise_kernels(chosen_isa())) {
    const int n_out = outputs_of(attributes);
    if (set_.bits < 2) throw std::invalid_argument("inputs of 1 bit; allowed are 2 to 8");
    if (inputs[0].cols % groups_ != 0 || n_out % groups_ != 0) {
      throw std::invalid_argument("groups=" + std::to_string(groups_) + " must divide " +
                                  std::to_string(inputs[0].cols) + " channels in and " +
                                  std::to_string(n_out) + " out");
    }
    n_in_ = inputs[0].cols / groups_;
    type_ = Type::floats(n_out);
    const int n_bits = windows_.elements(n_in_);
    const int most = INT32_MAX / set_.largest();
    if (n_bits > most) {
      throw std::invalid_argument("a window of " + std::to_string(n_bits) +
                                  " elements, whose sum can exceed 32 bits; with " +
                                  std::to_string(set_.bits) + "-bit inputs at most " +
                                  std::to_string(most) + " are allowed");
    }
    n_words_ = windows_.kernel * static_cast<int>(words_for(n_in_));
    const Elements<uint64_t> weight = attributes.u64("weight", {n_out, n_words_});
    check_tails(weight, n_in_);
    scale_ = attributes.f32("scale", {n_out});
    bias_ = attributes.f32("bias", {n_out});
    for (int j = 0; j < n_out; ++j) {
      int32_t ones = 0;
      for (int k = 0; k < n_words_; ++k) ones += popcount(weight[size_t(j) * n_words_ + k]);
      offset_.push_back(set_.low() * (2 * ones - n_bits));
    }
    const int per_group = n_out / groups_;
    if (windows_.stride == 1) {
      along_time_ =
          ConvAlongTime::made(windows_.kernel, n_in_, per_group, groups_, true, weight.data());
    }
    if (along_time_) return;
    for (int g = 0; g < groups_; ++g) {
      panels_.emplace_back(gemm_b1_kernel(chosen_isa()),
                           weight.data() + static_cast<size_t>(g) * per_group * n_words_, n_words_,
                           per_group, n_words_);
    }
  }

  const Type& type() const override { return type_; }

  Needs needs(size_t) const override {
    Needs needs = windows_.needs(static_cast<unsigned char>(set_.padding()));
    needs.is_by_columns = groups_ > 1;
    return needs;
  }

  Work work(const std::vector<int64_t>& inputs) const override {
    return {Work::Operands::b1,
            static_cast<double>(rows(inputs)) * set_.bits * windows_.kernel * n_in_ * type_.cols};
  }

  int n_column_groups() const override { return groups_; }

  // At least as many rows as taps, because neighbouring blocks make planes of the same frames.
  BlockRows block_rows() const override {
    if (along_time_) {
      const int64_t least = (windows_.kernel + kConvFrames - 1) / kConvFrames * kConvFrames;
      return {std::max(least, along_time_->block_rows().most), kConvFrames};
    }
    return {std::max<int64_t>(4 * rows_at_once(), windows_.kernel), panels_[0].kernel().rows};
  }

  void run_rows(const Block& block) const override {
    const int64_t n_frames = (block.rows.size() - 1) * windows_.stride + windows_.kernel;
    const uint64_t* planes = planes_of(block, n_frames);
    if (along_time_) return multiply_along_time(block, planes, n_frames);
    const int64_t step = rows_at_once();
    const int64_t n = step * panels_[0].padded_cols();
    auto* counts = block.scratch.take<int32_t>(n);
    auto* dots = block.scratch.take<int32_t>(n);
    for (int64_t i = block.rows.begin; i < block.rows.end; i += step) {
      const int n_rows = static_cast<int>(std::min(step, block.rows.end - i));
      multiply(block, planes, n_frames, i, n_rows, counts, dots);
    }
  }

 private:
  // Rows per reading of a panel: those of a few kernel calls, whose counts stay in L2.
  int64_t rows_at_once() const { return int64_t{4} * panels_[0].kernel().rows; }

  // Planes 0, 1, ... of the frames of a block.
  const uint64_t* planes_of(const Block& block, int64_t n_frames) const {
    const int64_t words = words_for(n_in_);
    auto* planes = block.scratch.take<uint64_t>(set_.bits * n_frames * words);
    const int64_t first = windows_.first(block.rows.begin);
    for (int64_t i = 0; i < n_frames; ++i) {
      const uint8_t* codes = block.inputs[0].codes_row(first + i);
      for (int p = 0; p < set_.bits; ++p) {
        write_plane(codes, n_in_, p, planes + (p * n_frames + i) * words);
      }
    }
    return planes;
  }

  // Adds up the counts of all planes by frames, as lanes.
  void multiply_along_time(const Block& block, const uint64_t* planes, int64_t n_frames) const {
    const int n_out = type_.cols / groups_;
    const int at = block.column_group * n_out;
    const int64_t n_rows = block.rows.size();
    auto* dots = block.scratch.take<int32_t>(n_rows * n_out);
    for (int64_t i = 0; i < n_rows; ++i) std::copy_n(offset_.data() + at, n_out, dots + i * n_out);
    std::vector<int32_t> ones(n_rows);
    const ConvAlongTime::Buffers buffers = along_time_->buffers(n_rows, block.scratch);
    for (int p = 0; p < set_.bits; ++p) {
      const uint64_t* plane = planes + p * n_frames * words_for(n_in_);
      along_time_->count_ones(plane, elementwise_, ones);
      along_time_->for_counts(block.column_group, plane, n_rows, buffers, [&](int64_t row, int n) {
        const int32_t* counts = buffers.of_rows;
        for (int64_t i = row; i < row + n; ++i, counts += n_out) {
          int32_t* dot = dots + i * n_out;
          for (int j = 0; j < n_out; ++j) dot[j] += (2 * counts[j] - ones[i]) * (1 << p);
        }
      });
    }
    for (int64_t i = 0; i < n_rows; ++i) {
      elementwise_.scale_i32(dots + i * n_out, scale_.data() + at, bias_.data() + at,
                             block.y.row(block.rows.begin + i) + at, n_out);
    }
  }

  void multiply(const Block& block, const uint64_t* planes, int64_t n_frames, int64_t first, int n,
                int32_t* counts, int32_t* dots) const {
    const int64_t words = words_for(n_in_);
    const ptrdiff_t stride = static_cast<ptrdiff_t>(windows_.stride) * words;
    const int n_out = type_.cols / groups_;
    const int at = block.column_group * n_out;
    const PanelsB1& panels = panels_[block.column_group];
    const int cols = panels.padded_cols();
    for (int i = 0; i < n; ++i) std::copy_n(offset_.data() + at, n_out, dots + i * cols);
    for (int p = 0; p < set_.bits; ++p) {
      const uint64_t* a = planes + p * n_frames * words + (first - block.rows.begin) * stride;
      panels.run(a, stride, n, BitOp::conjunction, counts);
      for (int i = 0; i < n; ++i) {
        int32_t ones = 0;
        for (int k = 0; k < n_words_; ++k) ones += popcount(a[i * stride + k]);
        const int32_t* count = counts + static_cast<ptrdiff_t>(i) * cols;
        int32_t* dot = dots + static_cast<ptrdiff_t>(i) * cols;
        for (int j = 0; j < n_out; ++j) dot[j] += (2 * count[j] - ones) * (1 << p);
      }
    }
    for (int i = 0; i < n; ++i) {
      elementwise_.scale_i32(dots + static_cast<ptrdiff_t>(i) * cols, scale_.data() + at,
                             bias_.data() + at, block.y.row(first + i) + at, n_out);
    }
  }

  Windows windows_;
  CodeSet set_;
  int groups_;
  const ElementwiseKernels& elementwise_;
  int n_in_ = 0;
  int n_words_ = 0;
  Type type_;
  std::vector<float> scale_;
  std::vector<float> bias_;
  std::vector<int32_t> offset_;
  std::optional<ConvAlongTime> along_time_;  // instead of panels
  std::vector<PanelsB1> panels_;
};

}  // namespace

std::unique_ptr<Op> make_gemm_planes(const std::vector<Type>& inputs, Attributes& attributes) {
  expect_codes(inputs, 1);
  return std::make_unique<GemmPlanes>(inputs, attributes);
}

}  // namespace earbit
