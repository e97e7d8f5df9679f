// Results of a stream that nobody has read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph/value.h"

namespace earbit {

// Rows of floats of a value that nobody has read.
class UnreadRows {
 public:
  explicit UnreadRows(int width) : width_(width) {}

  int64_t rows() const { return static_cast<int64_t>(floats_.size() - n_read_) / width_; }
  const float* data() const { return floats_.data() + n_read_; }

  // Adds the last n_new rows of a value.
  void add(const Value& value, int64_t n_new) {
    const float* end = value.floats.get() + value.size();
    floats_.insert(floats_.end(), end - n_new * width_, end);
  }

  void drop(int64_t n) noexcept {
    n_read_ += static_cast<size_t>(n * width_);
    if (n_read_ == floats_.size()) {
      clear();
    } else if (n_read_ > floats_.size() / 2) {  // so that a row is moved about once
      floats_.erase(floats_.begin(), floats_.begin() + static_cast<std::ptrdiff_t>(n_read_));
      n_read_ = 0;
    }
  }

  void clear() noexcept {
    n_read_ = 0;
    floats_.clear();
    if (floats_.capacity() > kSmall) std::vector<float>().swap(floats_);
  }

  // Moves up to n rows to `out`; returns how many.
  int64_t read(float* out, int64_t n) {
    n = std::min(n, rows());
    std::copy_n(data(), n * width_, out);
    drop(n);
    return n;
  }

 private:
  static constexpr size_t kSmall = 16 << 10;  // floats whose memory is kept

  int width_;
  std::vector<float> floats_;
  size_t n_read_ = 0;  // floats at the start
};

}  // namespace earbit
