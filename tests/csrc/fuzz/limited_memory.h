// Counts what operator new gives out, and lets it fail beyond a limit or once.
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

// While an object lives, one allocation throws std::bad_alloc, after `n_before` others.
class FailedAllocation {
 public:
  explicit FailedAllocation(int n_before);
  ~FailedAllocation();
  FailedAllocation(const FailedAllocation&) = delete;
  FailedAllocation& operator=(const FailedAllocation&) = delete;

  // Whether it came to that.
  bool has_failed() const;
};
