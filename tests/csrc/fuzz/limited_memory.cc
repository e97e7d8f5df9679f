#include "fuzz/limited_memory.h"

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> live{0};
std::atomic<size_t> most{0};
std::atomic<size_t> limit{SIZE_MAX};

void* allocate(size_t n) {
  if (n > limit || live + n > limit) throw std::bad_alloc();
  void* data = std::malloc(n == 0 ? 1 : n);
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

void* operator new(size_t n) { return allocate(n); }
void* operator new[](size_t n) { return allocate(n); }
void operator delete(void* data) noexcept { release(data); }
void operator delete[](void* data) noexcept { release(data); }
void operator delete(void* data, size_t) noexcept { release(data); }
void operator delete[](void* data, size_t) noexcept { release(data); }
