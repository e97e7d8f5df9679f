// Pattern of an attention: the keys that a query sees, and what is added to its scores.
//
//   full      all keys
//   window    keys from `left` frames before to `right` frames after the query
//   biased    all keys; score(i, j) += gate(i) * bias(j - i) per head, where near distances have a
//             bias each and far ones share one (ops/distance_table.cc)
//   relative  all keys; score(i, j) += a second product, of query i and distance i - j
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "graph/op.h"

namespace earbit {

class AttentionPattern {
 public:
  // Numbers of the inputs; -1 for those that a pattern does not have.
  struct Inputs {
    int query;
    int position_query;
    int key;
    int distance;
    int value;
  };

  // q, k, v, and for a bias the gates (n, heads) and the bias of the distances -(n - 1), ..., n - 1
  // (2 n - 1, heads).
  static AttentionPattern read(const std::vector<Type>& inputs, Attributes& attributes) {
    AttentionPattern pattern({0, -1, 1, -1, 2});
    constexpr int kMostFrames = 1 << 30;
    if (attributes.has_integer("left")) {
      pattern.left_ = attributes.integer("left", 0, kMostFrames);
      pattern.right_ = attributes.integer("right", 0, kMostFrames);
    } else {
      pattern.left_ = pattern.right_ = attributes.integer("radius", -1, kMostFrames);
    }
    pattern.is_biased_ = inputs.size() == kBias + 1;
    if (pattern.is_biased_ && pattern.is_window()) {
      throw std::invalid_argument("a position bias needs radius=-1, all frames");
    }
    return pattern;
  }

  // Row m of the distances is distance n - 1 - m of n frames.
  static AttentionPattern relative(const Inputs& inputs) { return AttentionPattern(inputs); }

  const Inputs& inputs() const { return inputs_; }
  bool is_window() const { return left_ >= 0; }
  bool is_biased() const { return is_biased_; }
  bool is_relative() const { return inputs_.distance >= 0; }

  // The inputs without gate and bias.
  std::vector<Type> operands(const std::vector<Type>& inputs) const {
    return {inputs.begin(), inputs.end() - (is_biased_ ? 2 : 0)};
  }

  // Throws std::invalid_argument for gate and bias that do not fit.
  void expect_heads(const std::vector<Type>& inputs, int heads) const {
    for (size_t i = is_biased_ ? kGate : inputs.size(); i < inputs.size(); ++i) {
      if (inputs[i].kind == Kind::floats && inputs[i].cols == heads) continue;
      throw std::invalid_argument(
          "gate and position bias must be floats with a column for each of " +
          std::to_string(heads) + " heads");
    }
  }

  Needs needs(size_t input) const {
    const auto i = static_cast<int>(input);
    if (i == inputs_.query || i == inputs_.position_query || (is_biased_ && input == kGate)) {
      return Needs::row();
    }
    if (!is_window()) return Needs::all();
    Needs needs;
    needs.left = left_;
    needs.right = needs.pad_right = right_;
    return needs;
  }

  // Number of queries.  Throws UnfitRows for other numbers of rows than n, and 2 n - 1 of
  // distances.
  int64_t rows(const std::vector<int64_t>& inputs) const {
    const int64_t n = inputs[inputs_.key];
    const int distances = is_biased_ ? static_cast<int>(kBias) : inputs_.distance;
    for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
      const int64_t expected = i == distances ? 2 * n - 1 : n;
      if (inputs[i] == expected) continue;
      throw UnfitRows(std::to_string(n) + " keys and an input of " + std::to_string(inputs[i]) +
                      " rows, expected " + (i == distances ? "2 n - 1 = " : "") +
                      std::to_string(expected));
    }
    return n;
  }

  // Pairs of queries and keys of n frames that see each other.
  double n_pairs(int64_t n) const {
    double n_pairs = 0;
    for (int64_t i = 0; i < n; ++i) n_pairs += static_cast<double>(seen(i, {0, n}).size());
    return n_pairs;
  }

  // The keys among `keys` that some queries see.
  Rows seen(const Rows& queries, const Rows& keys) const {
    return is_window() ? overlap(keys, {queries.begin - left_, queries.end + right_}) : keys;
  }
  Rows seen(int64_t query, const Rows& keys) const { return seen({query, query + 1}, keys); }

  // The bias of one head by distance; empty without a bias.
  std::vector<float> bias_of(std::span<const View> inputs, int h) const {
    if (!is_biased_) return {};
    const View& bias = inputs[kBias];
    std::vector<float> column(bias.rows.size());
    for (int64_t i = 0; i < bias.rows.end; ++i) column[i] = bias.row(i)[h];
    return column;
  }

  // Adds the bias to the scores of all n keys for query i.
  void add_bias(std::span<const View> inputs, const std::vector<float>& bias, int h, int64_t i,
                float* scores, int64_t n) const {
    if (!is_biased_) return;
    const float gate = inputs[kGate].row(i)[h];
    const float* from = bias.data() + (n - 1 - i);
    for (int64_t j = 0; j < n; ++j) scores[j] += gate * from[j];
  }

 private:
  static constexpr size_t kGate = 3;
  static constexpr size_t kBias = 4;

  explicit AttentionPattern(const Inputs& inputs) : inputs_(inputs) {}

  Inputs inputs_;
  int64_t left_ = -1;  // -1: all keys
  int64_t right_ = -1;
  bool is_biased_ = false;
};

}  // namespace earbit
