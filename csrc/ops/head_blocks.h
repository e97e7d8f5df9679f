// Parallel schedule of attention: first the shared data of every head, then blocks of rows of all
// heads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/thread_pool.h"

namespace earbit {

constexpr int64_t kBlockRows = 48;

// Data shared by all rows of a head, for every head.
template <typename Head>
using Heads = std::vector<std::unique_ptr<Head>>;

// Results of make(h) for every head.
template <typename Head, typename Make>
Heads<Head> make_heads(int n_heads, int n_threads, Make&& make) {
  Heads<Head> heads(n_heads);
  parallel_for(n_heads, 1, n_threads, [&](int64_t begin, int64_t end) {
    for (auto h = static_cast<int>(begin); h < end; ++h) {
      heads[h] = std::make_unique<Head>(make(h));
    }
  });
  return heads;
}

// Calls run(block, h, first, last) for rows [first, last) of head h, for all n rows of all heads,
// kBlockRows at a time.  Several calls share the buffers of one make_block().
template <typename MakeBlock, typename Run>
void for_head_blocks(int n_heads, int64_t n, int n_threads, MakeBlock&& make_block, Run&& run) {
  constexpr int64_t kMostBlocks = 16;  // per range
  const int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
  const int64_t grain = even_grain(n_heads * n_blocks, kMostBlocks, 1, n_threads);
  parallel_for(n_heads * n_blocks, grain, n_threads, [&](int64_t begin, int64_t end) {
    auto block = make_block();
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % n_blocks * kBlockRows;
      run(block, static_cast<int>(task / n_blocks), first, std::min(n, first + kBlockRows));
    }
  });
}

}  // namespace earbit
