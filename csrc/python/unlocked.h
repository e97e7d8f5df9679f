// Runs code without the interpreter lock, safely in daemon threads that outlive the interpreter.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <thread>

namespace earbit {

// Stops this thread until the process ends.
[[noreturn]] inline void stop_thread() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(24));
}

// Takes the interpreter lock, or stops this thread when the interpreter is finalized or about to
// be.
//
// Before version 3.14 Python ends a thread that asks for the lock during finalization by unwinding
// its stack, and C++ calls std::terminate when this reaches a noexcept frame.  After finalization
// the thread's state does not exist, and the request itself crashes.  The thread can do nothing
// useful by then, so it stops here, as it does inside Python from version 3.14 on.
[[gnu::noinline]] inline void lock_again(PyThreadState* state) {
  if (Py_IsInitialized() == 0) stop_thread();
  struct StopsWhenUnwound {
    bool is_armed = true;
    ~StopsWhenUnwound() {
      if (is_armed) stop_thread();
    }
  } guard;
  PyEval_RestoreThread(state);
  guard.is_armed = false;
}

// Releases the interpreter lock during its lifetime.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() { lock_again(state_); }

  // Whether a signal handler of Python has raised an exception, which is then set.  Only the main
  // thread runs signal handlers.
  bool is_interrupted() {
    lock_again(state_);
    const bool is_raised = PyErr_CheckSignals() != 0;
    state_ = PyEval_SaveThread();
    return is_raised;
  }

  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace earbit
