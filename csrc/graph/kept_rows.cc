#include "graph/kept_rows.h"

#include <algorithm>
#include <cstring>

namespace earbit {
namespace {

// Groups of bits, each of which has rows of its own.
int parts_of(const Type& type) { return type.kind == Kind::bits ? type.groups : 1; }

}  // namespace

View KeptRows::view() const {
  const int64_t n_bytes = type_.row_bytes() / parts_of(type_);
  char* data = static_cast<char*>(buffer_.get());
  return {type_, rows_, data == nullptr ? data : data + at_ * n_bytes, capacity_};
}

void KeptRows::move_to(int64_t first, int64_t end) {
  first = std::clamp(first, rows_.begin, rows_.end);
  const Rows stay{first, rows_.end};
  const int64_t n = end - first;
  const bool is_large = capacity_ > 4 * n && bytes() > (1 << 16);
  if (n > capacity_ || is_large) {
    // Room for some more, so that rows are seldom moved.
    const int64_t capacity = n + n / 4 + 1;
    std::shared_ptr<void> buffer = memory_->take(static_cast<size_t>(type_.bytes(capacity)));
    copy_to(buffer.get(), capacity, stay);
    buffer_ = std::move(buffer);
    capacity_ = capacity;
    at_ = 0;
  } else if (at_ + (end - rows_.begin) > capacity_) {
    copy_to(buffer_.get(), capacity_, stay);
    at_ = 0;
  } else {
    at_ += first - rows_.begin;
  }
  rows_ = {first, end};
}

void KeptRows::clear() {
  rows_.begin = rows_.end;
  buffer_ = nullptr;
  capacity_ = at_ = 0;
}

// Copies rows to the start of a buffer, which may be the same.
void KeptRows::copy_to(void* data, int64_t capacity, const Rows& rows) const {
  if (rows.size() == 0) return;
  const int n_parts = parts_of(type_);
  const int64_t n_bytes = type_.row_bytes() / n_parts;
  for (int part = 0; part < n_parts; ++part) {
    const char* from = static_cast<const char*>(buffer_.get()) +
                       (part * capacity_ + at_ + rows.begin - rows_.begin) * n_bytes;
    std::memmove(static_cast<char*>(data) + part * capacity * n_bytes, from,
                 static_cast<size_t>(rows.size() * n_bytes));
  }
}

}  // namespace earbit
