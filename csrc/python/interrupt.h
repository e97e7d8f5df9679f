// Runs programs so that Ctrl-C ends them.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>

#include "cpu/float_environment.h"
#include "graph/cancel.h"
#include "python/unlocked.h"

namespace earbit {

inline bool is_main_thread() {
  const nanobind::module_ threading = nanobind::module_::import_("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

// Ctrl-C ends a run in the main thread.
class Interrupt : public Cancel {
 public:
  explicit Interrupt(Unlocked& unlocked, bool is_main) : unlocked_(unlocked), is_main_(is_main) {}

  bool is_asked() const noexcept override { return is_asked_; }

  void poll() override {
    if (is_main_ && !is_asked_) is_asked_ = unlocked_.is_interrupted();
  }

 private:
  Unlocked& unlocked_;
  bool is_main_;
  std::atomic<bool> is_asked_{false};
};

// Calls work(cancel) without the interpreter lock; throws the exception of a signal handler.
template <typename Work>
void run_unlocked(Work&& work) {
  const bool is_main = is_main_thread();
  try {
    Unlocked unlocked;
    const DefaultFloats default_floats;
    Interrupt interrupt(unlocked, is_main);
    work(&interrupt);
  } catch (const Cancelled&) {
    throw nanobind::python_error();
  }
}

}  // namespace earbit
