#include "graph/memory.h"

#if defined(__unix__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <new>

namespace earbit {
namespace {

#if defined(__unix__)
// From this size on, blocks are mapped directly, so that freeing them returns memory to the system;
// freed heap memory may stay in the process.
constexpr size_t kMapped = size_t{1} << 18;

bool is_mapped(size_t n_bytes) { return Memory::kIsUsedAgain && n_bytes >= kMapped; }
#endif

void* allocate(size_t n_bytes) {
#if defined(__unix__)
  if (is_mapped(n_bytes)) {
    void* pages =
        mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    return pages;
  }
#endif
  return ::operator new(n_bytes, std::align_val_t{Memory::kAlignment});
}

// Maximum size of unused blocks in bytes, and their number, because all are looked through.
constexpr size_t kMaxUnused = size_t{256} << 20;
constexpr size_t kMaxBlocks = 1024;

}  // namespace

Memory::~Memory() {
  for (const Block& block : unused_) free(block);
}

std::shared_ptr<void> Memory::take(size_t n_bytes) {
  n_bytes = (std::max<size_t>(n_bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  Block block{nullptr, n_bytes, 0};
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
    block.run = run_;
    auto best = unused_.end();
    for (auto it = unused_.begin(); it != unused_.end(); ++it) {
      const bool fits = it->size >= n_bytes && it->size / 2 <= n_bytes;
      if (fits && (best == unused_.end() || it->size < best->size)) best = it;
    }
    if (best != unused_.end()) {
      block.data = best->data;
      block.size = best->size;
      n_unused_bytes_ -= block.size;
      unused_.erase(best);
    }
  }
  if (block.data == nullptr) block.data = allocate(n_bytes);
  // If the reference count cannot be allocated, the block returns to the pool.
  return {block.data, [owner = shared_from_this(), block](void*) { owner->put_back(block); }};
}

void Memory::trim() noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  const auto is_fresh = [this](const Block& block) { return block.run + 1 >= run_; };
  const auto first = std::partition(unused_.begin(), unused_.end(), is_fresh);
  for (auto old = first; old != unused_.end(); ++old) {
    n_unused_bytes_ -= old->size;
    free(*old);
  }
  unused_.erase(first, unused_.end());
  ++run_;
}

void Memory::put_back(const Block& block) noexcept {
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
    const bool fits = n_unused_bytes_ + block.size <= kMaxUnused && unused_.size() < kMaxBlocks;
    if (kIsUsedAgain && fits) {
      try {
        unused_.push_back(block);
        n_unused_bytes_ += block.size;
        return;
      } catch (const std::bad_alloc&) {
      }
    }
  }
  free(block);
}

void Memory::free(const Block& block) noexcept {
#if defined(__unix__)
  if (is_mapped(block.size)) {
    munmap(block.data, block.size);
    return;
  }
#endif
  ::operator delete(block.data, std::align_val_t{kAlignment});
}

}  // namespace earbit
