// Sets the floating-point environment of a thread: round to nearest, denormal numbers enabled,
// exceptions not trapped.  It overrides the environment of the caller, since audio hosts flush
// denormal numbers to 0 and a new thread inherits the environment of its parent.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#else
#include <cfenv>
#endif

namespace earbit {

// Sets the default environment for the current thread and restores the previous one on destruction.
class DefaultFloats {
 public:
#if defined(__x86_64__)
  // Does not write registers that already have the default value, because writes are slow.
  DefaultFloats() : before_(_mm_getcsr()) {
    if ((before_ & ~kFlags) != kDefault) _mm_setcsr(kDefault);
  }
  ~DefaultFloats() {
    if ((before_ & ~kFlags) != kDefault) _mm_setcsr(before_);
  }
#elif defined(__aarch64__)
  DefaultFloats() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    if (before_ != kDefault) write(kDefault);
  }
  ~DefaultFloats() {
    if (before_ != kDefault) write(before_);
  }
#else
  DefaultFloats() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloats() { std::fesetenv(&before_); }
#endif
  DefaultFloats(const DefaultFloats&) = delete;
  DefaultFloats& operator=(const DefaultFloats&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned kFlags = 0x3f;      // exceptions raised so far
  static constexpr unsigned kDefault = 0x1f80;  // all exceptions masked
  unsigned before_;
#elif defined(__aarch64__)
  static void write(uint64_t control) { asm volatile("msr fpcr, %0" : : "r"(control) : "memory"); }
  static constexpr uint64_t kDefault = 0;
  uint64_t before_;
#else
  std::fenv_t before_;
#endif
};

}  // namespace earbit
