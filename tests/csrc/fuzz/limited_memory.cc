#include "fuzz/limited_memory.h"

#include <malloc.h>

#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> live{0};
std::atomic<size_t> most{0};
std::atomic<size_t> limit{SIZE_MAX};
constexpr int kNever = INT_MAX;
std::atomic<int> n_until_failure{kNever};  // below 0 after it

void* allocate(size_t n, std::align_val_t alignment = std::align_val_t{alignof(std::max_align_t)}) {
  if (n > limit || live + n > limit) throw std::bad_alloc();
  if (n_until_failure != kNever && n_until_failure-- == 0) throw std::bad_alloc();
  const auto step = static_cast<size_t>(alignment);
  void* data = std::aligned_alloc(step, (n + step - 1) / step * step + (n == 0 ? step : 0));
  if (data == nullptr) throw std::bad_alloc();
  const size_t now = live += malloc_usable_size(data);
  size_t seen = most;
  while (now > seen && !most.compare_exchange_weak(seen, now)) {
  }
  return data;
}

void release(void* data) noexcept {
  if (data != nullptr) live -= malloc_usable_size(data);
  std::free(data);
}

}  // namespace

LimitedMemory::LimitedMemory(size_t n_bytes) : before_(live) {
  most = before_;
  limit = before_ + n_bytes;
}

LimitedMemory::~LimitedMemory() { limit = SIZE_MAX; }

size_t LimitedMemory::peak() const { return most - before_; }

FailedAllocation::FailedAllocation(int n_before) { n_until_failure = n_before; }

FailedAllocation::~FailedAllocation() { n_until_failure = kNever; }

bool FailedAllocation::has_failed() const { return n_until_failure < 0; }

void* operator new(size_t n) { return allocate(n); }
void* operator new[](size_t n) { return allocate(n); }
void* operator new(size_t n, std::align_val_t alignment) { return allocate(n, alignment); }
// std::stable_sort asks for its buffer so.
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  try {
    return allocate(n);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* data) noexcept { release(data); }
void operator delete[](void* data) noexcept { release(data); }
void operator delete(void* data, size_t) noexcept { release(data); }
void operator delete[](void* data, size_t) noexcept { release(data); }
void operator delete(void* data, std::align_val_t) noexcept { release(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { release(data); }
