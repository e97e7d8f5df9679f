// Runs code without the interpreter lock, safely in daemon threads that outlive the interpreter.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <thread>

namespace earbit {

// Stops this thread for as long as the process lives.
[[noreturn]] inline void stop_thread() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(24));
}

// Takes the interpreter lock, or stops this thread when the interpreter is finalized or about to
// be.
//
// Before version 3.14 Python ends a thread that asks for the lock during finalization by unwinding
// its stack, which C++ answers with std::terminate as soon as that meets a frame that is noexcept;
// afterwards the thread's state is gone and the request itself crashes.  No frame of this thread
// could do anything useful by then, so it stops here, as from 3.14 on it does within Python.
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

// Releases the interpreter lock for as long as it lives.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() { lock_again(state_); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace earbit
