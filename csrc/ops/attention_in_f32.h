// Attention on floats: softmax(score_scale * q k^T) v per head, and with relative positions of
// score_scale * [(q_i + u) k_j + (q_i + v) r_(i-j)], with biases u and v of content and position.
//
// A block of scaled queries is multiplied with all keys that it sees, and with the distances of the
// block: as many as frames and queries together, not 2 n - 1 for every query.  The division by the
// sum of exp(scores) is applied to the context, which has fewer columns.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_f32.h"
#include "ops/attention.h"

namespace earbit {

class AttentionInF32 {
 public:
  static constexpr auto kOperands = Work::Operands::f32;
  static constexpr bool kIsByHead = true;

  // Keys of some frames of one head, in the layout of weights.
  struct Head {
    Rows rows;
    PanelsF32 keys;
    PanelsF32 values;
    std::optional<PanelsF32> distances;
    std::vector<float> bias;  // by distance
  };

  struct Buffers {
    Buffers(const AttentionInF32&, const Head&, const Block&) {}
    int64_t n_queries = kBlockQueries;
  };

  AttentionInF32(const std::vector<Type>& inputs, Attributes& attributes,
                 const AttentionPattern& pattern)
      : pattern_(pattern),
        type_(inputs[0]),
        heads_(attributes.integer("heads", 1, 1 << 16)),
        score_scale_(attributes.positive("score_scale")),
        exp_(exp_kernels(chosen_isa())),
        elementwise_(elementwise_kernels(chosen_isa())) {
    if (pattern.is_relative()) {
      content_bias_ = attributes.f32("content_bias", {type_.cols});
      position_bias_ = attributes.f32("position_bias", {type_.cols});
    }
    for (const Type& input : pattern.operands(inputs)) {
      if (input.cols != type_.cols || input.cols % heads_ != 0) {
        throw std::invalid_argument(
            std::string(pattern.is_relative() ? "q, k, v and r" : "q, k and v") +
            " must have the same width, a multiple of heads=" + std::to_string(heads_));
      }
    }
  }

  const AttentionPattern& pattern() const { return pattern_; }
  const Type& type() const { return type_; }
  int width() const { return type_.cols; }
  int n_heads() const { return heads_; }
  int64_t block_queries() const { return kBlockQueries; }

  Head head(std::span<const View> inputs, int h, const Rows& keys) const {
    const AttentionPattern::Inputs& in = pattern_.inputs();
    const int width = type_.cols;
    const int d = width / heads_;
    const auto n = static_cast<int>(keys.size());
    const GemmF32Kernel& kernel = gemm_f32_kernel(chosen_isa());
    Head head{
        keys, PanelsF32(kernel, inputs[in.key].row(keys.begin) + h * d, width, n, d),
        PanelsF32::of_transposed(kernel, inputs[in.value].row(keys.begin) + h * d, width, d, n),
        std::nullopt, pattern_.bias_of(inputs, h)};
    if (pattern_.is_relative()) {
      head.distances.emplace(kernel, inputs[in.distance].row(0) + h * d, width, 2 * n - 1, d);
    }
    return head;
  }

  void attend(const Block& block, const Head& head, int h, const Rows& queries, Buffers&) const {
    const int d = type_.cols / heads_;
    const int64_t n_keys = head.rows.size();
    auto* scaled = block.scratch.take<float>(queries.size() * d);
    auto* scores = block.scratch.take<float>(queries.size() * n_keys);  // then exp(scores)
    float sums[kBlockQueries];
    scale(block, h, queries, content_bias_, scaled);
    head.keys.run(scaled, d, queries.size(), nullptr, scores, n_keys);
    if (pattern_.is_relative()) add_distances(block, head, h, queries, scaled, scores);
    for (int64_t i = queries.begin; i < queries.end; ++i) {
      float* row = scores + (i - queries.begin) * n_keys;
      const Rows seen = pattern_.seen(i, head.rows);
      const int64_t from = seen.begin - head.rows.begin;
      const int64_t to = seen.end - head.rows.begin;
      std::fill(row, row + from, 0.0f);
      pattern_.add_bias(block.inputs, head.bias, h, i, row, n_keys);
      sums[i - queries.begin] =
          exp_.exp_below(row + from, exp_.most(row + from, to - from), to - from);
      std::fill(row + to, row + n_keys, 0.0f);
    }
    float* context = block.y.row(queries.begin) + h * d;
    if (pattern_.is_window()) {
      // Which keys are there depends on the block of queries, which must not change a sum.
      head.values.run_in_one_sum(scores, n_keys, queries.size(), context, type_.cols);
      for (int64_t i = queries.begin; i < queries.end; ++i) {
        const float* row = block.y.row(i) + h * d;
        if (!std::all_of(row, row + d, [](float x) { return std::isfinite(x); })) {
          sum_window(block, head, h, i, scores + (i - queries.begin) * n_keys);
        }
      }
    } else {
      head.values.run(scores, n_keys, queries.size(), nullptr, context, type_.cols);
    }
    for (int64_t i = queries.begin; i < queries.end; ++i) {
      float* row = block.y.row(i) + h * d;
      for (int c = 0; c < d; ++c) row[c] /= sums[i - queries.begin];
    }
  }

 private:
  // The context of one query from the keys of its window alone: elsewhere its weights are 0, but
  // 0 times infinity is not 0.
  void sum_window(const Block& block, const Head& head, int h, int64_t query,
                  const float* weights) const {
    const int d = type_.cols / heads_;
    const Rows seen = pattern_.seen(query, head.rows);
    const auto values =
        PanelsF32::of_transposed(gemm_f32_kernel(chosen_isa()),
                                 block.inputs[pattern_.inputs().value].row(seen.begin) + h * d,
                                 type_.cols, d, static_cast<int>(seen.size()));
    values.run_in_one_sum(weights + (seen.begin - head.rows.begin), seen.size(), 1,
                          block.y.row(query) + h * d, type_.cols);
  }

  // score_scale * (q + bias) of some queries of one head; the bias may be empty.
  void scale(const Block& block, int h, const Rows& queries, const std::vector<float>& bias,
             float* scaled) const {
    const int d = type_.cols / heads_;
    const float* add = bias.empty() ? nullptr : bias.data() + h * d;
    for (int64_t i = queries.begin; i < queries.end; ++i, scaled += d) {
      const float* row = block.inputs[pattern_.inputs().query].row(i) + h * d;
      for (int c = 0; c < d; ++c) {
        scaled[c] = (add == nullptr ? row[c] : row[c] + add[c]) * score_scale_;
      }
    }
  }

  // Adds the products with the distances from (last query, first key) to (first query, last key),
  // which are read in whole panels, from the panel of the first.
  void add_distances(const Block& block, const Head& head, int h, const Rows& queries,
                     float* scaled, float* scores) const {
    const int64_t n = head.rows.size();
    const int panel_cols = head.distances->panel_cols();
    const int64_t distance_cols = n + kBlockQueries + 2 * int64_t{panel_cols};
    auto* by_distance = block.scratch.take<float>(queries.size() * distance_cols);
    scale(block, h, queries, position_bias_, scaled);
    const auto low = static_cast<int>(n - queries.end);
    const int base = low / panel_cols * panel_cols;
    head.distances->run_columns(low, static_cast<int>(2 * n - 1 - queries.begin), scaled,
                                type_.cols / heads_, queries.size(), by_distance, distance_cols);
    for (int64_t i = 0; i < queries.size(); ++i) {
      float* row = scores + i * n;
      const int64_t nearest = n - 1 - queries.begin - i;  // the row that the first key reads
      elementwise_.add(row, by_distance + i * distance_cols + nearest - base, row, n);
    }
  }

  AttentionPattern pattern_;
  Type type_;
  int heads_;
  float score_scale_;
  std::vector<float> content_bias_;
  std::vector<float> position_bias_;
  const ExpKernels& exp_;
  const ElementwiseKernels& elementwise_;
};

}  // namespace earbit
