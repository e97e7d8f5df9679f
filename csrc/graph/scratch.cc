#include "graph/scratch.h"

#include <algorithm>

namespace earbit {

void* Scratch::take_bytes(size_t n_bytes) {
  constexpr size_t kStep = Memory::kAlignment;
  n_bytes = (std::max<size_t>(n_bytes, 1) + kStep - 1) / kStep * kStep;
  // With the address sanitizer everything has a block of its own.
  if (blocks_.empty() || size_ - used_ < n_bytes || !Memory::kIsUsedAgain) {
    blocks_.reserve(blocks_.size() + 1);
    const size_t size = blocks_.empty() ? std::max(n_bytes, least_) : n_bytes;
    blocks_.push_back(memory_->take(size));
    size_ = size;
    used_ = 0;
    total_ += size;
  }
  char* data = static_cast<char*>(blocks_.back().get()) + used_;
  used_ += n_bytes;
  return data;
}

void Scratch::clear() {
  used_ = 0;
  if (blocks_.size() <= 1 && Memory::kIsUsedAgain) return;
  // The next block of rows finds all that it needs in one piece.
  const size_t total = total_;
  blocks_.clear();
  size_ = total_ = 0;
  if (Memory::kIsUsedAgain) {
    take_bytes(total);
    used_ = 0;
  }
}

void Scratch::release() {
  if (Memory::kIsUsedAgain) least_ = std::max(least_, total_);
  blocks_.clear();
  size_ = used_ = total_ = 0;
}

}  // namespace earbit
