// A request to end a run before it is complete.
#pragma once

#include <exception>

namespace earbit {

struct Cancelled : std::exception {
  const char* what() const noexcept override { return "the run was cancelled"; }
};

class Cancel {
 public:
  virtual ~Cancel() = default;

  // Called by all threads of a run, before every block of rows.
  virtual bool is_asked() const noexcept = 0;

  // Called every 50 ms by the thread that called the run.
  virtual void poll() {}
};

}  // namespace earbit
