// Rows of values, and the rows of its inputs that an op needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace earbit {

// Rows [begin, end).
struct Rows {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool contains(const Rows& other) const { return begin <= other.begin && other.end <= end; }
  friend bool operator==(const Rows&, const Rows&) = default;
};

constexpr Rows overlap(const Rows& a, const Rows& b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// The rows of one input that the rows of a result need: row i needs the rows from
// i * stride / repeat - left to i * stride / repeat + right, or it needs all rows.
//
// The rate of a result is repeat / stride rows per row of the input, `left` is how many earlier
// rows a stream keeps, and `right` how many rows a result waits for.
struct Needs {
  int64_t stride = 1;
  int64_t repeat = 1;
  int64_t left = 0;
  int64_t right = 0;

  // Rows outside of the input hold `padding` in every byte, up to `left` of them before the first
  // and `pad_right` after the last; otherwise an op is given the rows that exist.
  bool is_padded = false;
  int64_t pad_right = 0;
  unsigned char padding = 0;

  // Whether a group of columns of the result needs only the same group of columns.
  bool is_by_columns = false;

  bool is_all = false;

  static constexpr Needs row() { return {}; }
  static constexpr Needs all() {
    Needs needs;
    needs.is_all = true;
    return needs;
  }

  bool is_row() const {
    return !is_all && stride == 1 && repeat == 1 && left == 0 && right == 0 && !is_by_columns;
  }

  // Rows of the input for rows of the result, which may lie outside of the input.
  Rows of(const Rows& rows) const {
    if (is_all) {
      return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
    }
    return {centre(rows.begin) - left, centre(rows.end - 1) + right + 1};
  }

  // The row of the input around which row i of the result lies.
  int64_t centre(int64_t i) const { return repeat == 1 ? i * stride : i * stride / repeat; }

  // Rows of a result that n rows of the input and the padding are enough for; at least 0.
  int64_t count(int64_t n) const {
    const int64_t last = n - 1 + pad_right - right;  // the centre of the last window
    return last < 0 ? 0 : (last * repeat + repeat - 1) / stride + 1;
  }
};

}  // namespace earbit
