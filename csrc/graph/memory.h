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

namespace earbit {

class Memory : public std::enable_shared_from_this<Memory> {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  // A block of at least n_bytes, not initialised, at a multiple of kAlignment; it comes back when
  // its last owner is gone, on whatever thread and also after the program.  Throws std::bad_alloc.
  std::shared_ptr<void> take(size_t n_bytes);

  // The end of a run: frees unused blocks that neither it nor the one before has taken.  Needs no
  // memory, as there are results by then.
  void trim() noexcept;

  static constexpr size_t kAlignment = 64;

 private:
  struct Block {
    void* data;
    size_t size;
    int64_t run;  // that took it last
  };

  void put_back(const Block& block) noexcept;
  static void free(const Block& block) noexcept;

  // Nobody waits for it: a forked child may find it held by a thread that it does not have, and
  // whoever does not get it asks the system instead.
  std::mutex mutex_;
  std::vector<Block> unused_;
  size_t n_unused_bytes_ = 0;
  int64_t run_ = 0;
};

}  // namespace earbit
