// An attention: a pattern (ops/attention_pattern.h) in an arithmetic (ops/attention_in_*.h).
//
// An arithmetic has
//   type(), n_heads(), kIsByHead    type of the result; whether heads write columns of their own
//   block_rows(is_window)           queries of a block, and queries that are computed at once
//   Head head(inputs, h, keys)      keys, values and distances of a head in the layout of weights
//   Buffers(arithmetic, head)       for the queries that are computed at once
//   attend(block, head, h, queries, buffers)
// where inputs, block and pattern are those of the op.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/attention_pattern.h"

namespace earbit {

constexpr int64_t kBlockQueries = 48;

template <typename Arithmetic>
class Attention : public Op {
 public:
  Attention(const std::vector<Type>& inputs, Attributes& attributes,
            const AttentionPattern& pattern)
      : arithmetic_(inputs, attributes, pattern) {
    pattern.expect_heads(inputs, arithmetic_.n_heads());
  }

  const Type& type() const override { return arithmetic_.type(); }
  Needs needs(size_t input) const override { return pattern().needs(input); }
  int64_t rows(const std::vector<int64_t>& inputs) const override { return pattern().rows(inputs); }
  // Products of queries with keys, with distances, and of probabilities with values.
  Work work(const std::vector<int64_t>& inputs) const override {
    const int n_per_pair = (pattern().is_relative() ? 3 : 2) * arithmetic_.width();
    return {Arithmetic::kOperands, pattern().n_pairs(rows(inputs)) * n_per_pair};
  }

  int n_column_groups() const override { return Arithmetic::kIsByHead ? arithmetic_.n_heads() : 1; }
  BlockRows block_rows() const override { return {arithmetic_.block_queries(), 1}; }

  // Heads of all frames, unless queries see a window.
  std::unique_ptr<State> start(std::span<const View> inputs) const override {
    if (pattern().is_window()) return nullptr;
    return std::make_unique<Heads>(arithmetic_, inputs);
  }

  void run_rows(const Block& block) const override {
    const int first_head = Arithmetic::kIsByHead ? block.column_group : 0;
    const int last_head = Arithmetic::kIsByHead ? first_head + 1 : arithmetic_.n_heads();
    std::vector<std::unique_ptr<Head>> of_window;
    if (pattern().is_window()) {
      const Rows keys = pattern().seen(block.rows, block.inputs[pattern().inputs().key].rows);
      for (int h = first_head; h < last_head; ++h) {
        of_window.push_back(std::make_unique<Head>(arithmetic_.head(block.inputs, h, keys)));
      }
    }
    const auto head = [&](int h) -> const Head& {
      return pattern().is_window() ? *of_window[h - first_head]
                                   : static_cast<const Heads&>(*block.state)[h];
    };
    typename Arithmetic::Buffers buffers(arithmetic_, head(first_head), block);
    for (int64_t begin = block.rows.begin; begin < block.rows.end;) {
      const Rows queries{begin, std::min(begin + buffers.n_queries, block.rows.end)};
      for (int h = first_head; h < last_head; ++h) {
        arithmetic_.attend(block, head(h), h, queries, buffers);
      }
      begin = queries.end;
    }
  }

 private:
  using Head = typename Arithmetic::Head;

  // What all rows of each head share.
  class Heads : public State {
   public:
    Heads(const Arithmetic& arithmetic, std::span<const View> inputs)
        : arithmetic_(arithmetic),
          inputs_(inputs.begin(), inputs.end()),
          heads_(arithmetic.n_heads()) {}

    int64_t n_parts() const override { return static_cast<int64_t>(heads_.size()); }

    void run_part(int64_t part, Scratch&) override {
      const Rows keys = inputs_[arithmetic_.pattern().inputs().key].rows;
      heads_[part] =
          std::make_unique<Head>(arithmetic_.head(inputs_, static_cast<int>(part), keys));
    }

    const Head& operator[](int h) const { return *heads_[h]; }

   private:
    const Arithmetic& arithmetic_;
    std::vector<View> inputs_;
    std::vector<std::unique_ptr<Head>> heads_;
  };

  const AttentionPattern& pattern() const { return arithmetic_.pattern(); }

  Arithmetic arithmetic_;
};

}  // namespace earbit
