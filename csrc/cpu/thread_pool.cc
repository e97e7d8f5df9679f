#include "cpu/thread_pool.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "cpu/float_environment.h"

namespace earbit {
namespace {

// Time that a thread spins before it sleeps.  Ops follow each other within microseconds and take
// tens of microseconds, and waking a thread takes as long.
constexpr std::chrono::microseconds kPatience{50};

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `is_there` is true or the time is over.
template <typename IsThere>
bool appears(IsThere&& is_there) {
  constexpr int kLooks = 64;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    for (int i = 0; i < kLooks; ++i) {
      if (is_there()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// The processor that this thread runs on, or -1.
int processor() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Moves this thread, which has just been woken, away from processor `taken`, on which the caller
// computes.  Linux often wakes a thread on the processor of its waker and leaves it there for
// milliseconds.
void leave(int taken) {
#if defined(__linux__)
  if (taken < 0 || processor() != taken) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  cpu_set_t others = allowed;
  if (taken >= CPU_SETSIZE || CPU_COUNT(&others) < 2) return;
  CPU_CLR(taken, &others);
  if (sched_setaffinity(0, sizeof(others), &others) == 0) {
    sched_setaffinity(0, sizeof(allowed), &allowed);
  }
#else
  static_cast<void>(taken);
#endif
}

// One parallel_for.  Threads take ranges from a counter, so no range is computed twice.
struct Job {
  Job(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body)
      : n(n), grain(grain), body(body) {}

  void work() {
    while (true) {
      const int64_t begin = next.fetch_add(grain);
      if (begin >= n) return;
      const int64_t end = std::min(begin + grain, n);
      try {
        body(begin, end);
      } catch (...) {
        // Any thread can run out of memory; the caller rethrows the exception.
        std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = std::current_exception();
      }
      if (done.fetch_add(end - begin) + (end - begin) == n) {
        std::lock_guard<std::mutex> lock(mutex);
        finished.notify_all();
      }
    }
  }

  void wait() {
    appears([this] { return done.load() == n; });
    std::unique_lock<std::mutex> lock(mutex);
    finished.wait(lock, [this] { return done.load() == n; });
    if (error) std::rethrow_exception(error);
  }

  const int64_t n;
  const int64_t grain;
  const int caller = processor();
  // A copy, because a late helper can read the job after the caller has returned.
  const std::function<void(int64_t, int64_t)> body;
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};
  std::mutex mutex;
  std::condition_variable finished;
  std::exception_ptr error;
};

class Pool {
 public:
  // Requests helpers.  If the system has no more threads or memory, there are fewer or none, and
  // the caller computes the remaining ranges.
  void add(const std::shared_ptr<Job>& job, int n_helpers) {
    try {
      std::lock_guard<std::mutex> lock(mutex_);
      start_threads(n_helpers);
      for (int i = 0; i < std::min(n_helpers, n_threads_); ++i) {
        jobs_.push_back(job);
        ++n_jobs_;
      }
    } catch (const std::bad_alloc&) {
    }
    // Spinning threads find the job without a notification.
    wake_.notify_all();
  }

 private:
  void start_threads(int n_threads) {
    try {
      for (; n_threads_ < n_threads; ++n_threads_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
    }
  }

  void serve() {
    const DefaultFloats floats;
    while (true) {
      std::shared_ptr<Job> job;
      const bool has_slept = !appears([this] { return n_jobs_.load() > 0; });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return !jobs_.empty(); });
        job = std::move(jobs_.front());
        jobs_.pop_front();
        --n_jobs_;
      }
      if (has_slept) leave(job->caller);
      job->work();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::atomic<int> n_jobs_{0};  // size of jobs_, read without the lock
  int n_threads_ = 0;
};

// The pool of this process.  A forked child has none of its parent's threads, so it gets a new
// pool; the old one is left alone, its locks may be held by threads that no longer exist.
std::atomic<Pool*> current_pool{nullptr};

Pool& pool() {
  static const bool is_ready = [] {
    current_pool = new Pool();
#if !defined(_WIN32)
    pthread_atfork(nullptr, nullptr, [] { current_pool = new Pool(); });
#endif
    return true;
  }();
  static_cast<void>(is_ready);
  return *current_pool;
}

int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

}  // namespace

int64_t even_grain(int64_t n, int64_t most, int64_t multiple, int n_threads) {
  const int64_t n_ranges = divided_up(divided_up(n, most), n_threads) * n_threads;
  return std::min(most,
                  divided_up(divided_up(n, std::max<int64_t>(n_ranges, 1)), multiple) * multiple);
}

void parallel_for(int64_t n, int64_t grain, int n_threads,
                  const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const DefaultFloats floats;
  grain = std::max<int64_t>(grain, 1);
  const int64_t n_ranges = (n + grain - 1) / grain;
  const int n_helpers = static_cast<int>(std::min<int64_t>(n_threads, n_ranges)) - 1;
  if (n_helpers <= 0) {
    for (int64_t begin = 0; begin < n; begin += grain) body(begin, std::min(begin + grain, n));
    return;
  }
  auto job = std::make_shared<Job>(n, grain, body);
  pool().add(job, n_helpers);
  job->work();
  job->wait();
}

}  // namespace earbit
