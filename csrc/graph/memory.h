// Pool of memory for the values of runs, which later runs reuse.
//
// The memory of a run depends on the length of its audio, so runs of similar length find all of
// their blocks in the pool and avoid page faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

// The address sanitizer: GCC defines a macro, Clang has a feature.
#if defined(__SANITIZE_ADDRESS__)
#define EARBIT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EARBIT_ADDRESS_SANITIZER 1
#endif
#endif

namespace earbit {

class Memory : public std::enable_shared_from_this<Memory> {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  // A block of at least n_bytes, uninitialised, aligned to kAlignment.  It returns to the pool when
  // its last owner is destroyed, on any thread, even after the program.  Throws std::bad_alloc.
  std::shared_ptr<void> take(size_t n_bytes);

  // Ends a run: frees blocks that neither this run nor the previous one has used.  Allocates no
  // memory, because a failure would lose the results.
  void trim() noexcept;

  static constexpr size_t kAlignment = 64;

  // Whether blocks are used more than once.  With the address sanitizer they are not, so that it
  // detects accesses beyond the end of a value.
#if defined(EARBIT_ADDRESS_SANITIZER)
  static constexpr bool kIsUsedAgain = false;
#else
  static constexpr bool kIsUsedAgain = true;
#endif

 private:
  struct Block {
    void* data;
    size_t size;
    int64_t run;  // the last run that used it
  };

  void put_back(const Block& block) noexcept;
  static void free(const Block& block) noexcept;

  // Threads only try to lock it, and allocate from the system if that fails: in a forked child, it
  // may be locked by a thread that does not exist.
  std::mutex mutex_;
  std::vector<Block> unused_;
  size_t n_unused_bytes_ = 0;
  int64_t run_ = 0;
};

}  // namespace earbit
