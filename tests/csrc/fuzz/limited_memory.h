// Counts what operator new gives out, and lets it fail beyond a limit.
#pragma once

#include <cstddef>

// While an object lives, at most `n_bytes` more than now can be allocated at a time; beyond,
// operator new throws std::bad_alloc on any thread.  One object at a time.
class LimitedMemory {
 public:
  explicit LimitedMemory(size_t n_bytes);
  ~LimitedMemory();
  LimitedMemory(const LimitedMemory&) = delete;
  LimitedMemory& operator=(const LimitedMemory&) = delete;

  // The most that was allocated at a time so far.
  size_t peak() const;

 private:
  size_t before_;
};
