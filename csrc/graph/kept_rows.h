// Rows of a value that a stream keeps: the last ones, as many as later rows of others need.
#pragma once

#include <cstdint>
#include <memory>

#include "graph/memory.h"
#include "graph/view.h"

namespace earbit {

class KeptRows {
 public:
  KeptRows(const Type& type, Memory& memory) : type_(type), memory_(&memory) {}

  const Rows& rows() const { return rows_; }
  int64_t bytes() const { return capacity_ * type_.row_bytes(); }

  View view() const;

  // Forgets rows before `first` and makes room for those up to `end`, which are not initialised.
  // Throws std::bad_alloc and std::invalid_argument for more than kMaxBytes; nothing changes then.
  void move_to(int64_t first, int64_t end);

  // Forgets all rows, and gives their memory back.
  void clear();

 private:
  void copy_to(void* data, int64_t capacity, const Rows& rows) const;

  Type type_;
  Memory* memory_;
  Rows rows_;
  int64_t capacity_ = 0;  // in rows
  int64_t at_ = 0;        // of the first row in the buffer
  std::shared_ptr<void> buffer_;
};

}  // namespace earbit
