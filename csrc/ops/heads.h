// What all rows of a head of an attention share, such as its keys in the layout of weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/op.h"

namespace earbit {

constexpr int64_t kBlockRows = 48;  // of queries

template <typename Head>
class Heads : public State {
 public:
  using Make = std::function<Head(const std::vector<View>& inputs, int head)>;

  Heads(int n_heads, std::span<const View> inputs, Make make)
      : inputs_(inputs.begin(), inputs.end()), make_(std::move(make)), heads_(n_heads) {}

  int64_t n_parts() const override { return static_cast<int64_t>(heads_.size()); }

  void run_part(int64_t part, Scratch&) override {
    heads_[part] = std::make_unique<Head>(make_(inputs_, static_cast<int>(part)));
  }

  const Head& operator[](int head) const { return *heads_[head]; }

 private:
  std::vector<View> inputs_;
  Make make_;
  std::vector<std::unique_ptr<Head>> heads_;
};

// Rows of an attention over n frames: of all inputs, but 2 n - 1 of `distances`.
inline int64_t rows_of_attention(const std::vector<int64_t>& inputs, size_t distances) {
  const int64_t n = inputs[0];
  for (size_t i = 1; i < inputs.size(); ++i) {
    const int64_t expected = i == distances ? 2 * n - 1 : n;
    if (inputs[i] == expected) continue;
    throw UnfitRows(std::to_string(n) + " frames and an input of " + std::to_string(inputs[i]) +
                    " rows, expected " + (i == distances ? "2 n - 1 = " : "") +
                    std::to_string(expected));
  }
  return n;
}

}  // namespace earbit
