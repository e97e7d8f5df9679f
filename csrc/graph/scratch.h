// Memory of one thread for the work on a block of rows, reused by all blocks of a run.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "graph/memory.h"

namespace earbit {

class Scratch {
 public:
  explicit Scratch(Memory& memory) : memory_(&memory) {}

  // n elements, uninitialised, valid until `clear`.  Throws std::bad_alloc.
  template <typename T>
  T* take(int64_t n) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(n) * sizeof(T)));
  }

  // Ends the use of everything that was taken.
  void clear();

  // Gives all memory back.  The next use takes as much at once.
  void release();

 private:
  void* take_bytes(size_t n_bytes);

  Memory* memory_;
  std::vector<std::shared_ptr<void>> blocks_;  // the last one is in use, the others are full
  size_t size_ = 0;                            // of the last block
  size_t used_ = 0;
  size_t total_ = 0;  // of all blocks
  size_t least_ = 0;  // of the first block
};

}  // namespace earbit
