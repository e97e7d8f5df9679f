// Error of an invalid program file.
#pragma once

#include <stdexcept>

namespace earbit {

// The message names the place in the file, the value and what is allowed, on one line of UTF-8.
class FormatError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}  // namespace earbit
