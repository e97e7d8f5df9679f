// JSON values, read with checked types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace earbit {

// One value: a view into its text, which must outlive it.  Values are copied only on
// request, so parsing needs no memory beyond the results.
//
// `where` names the value in errors, for example "op 3 inputs".  Every function throws FormatError
// if the value has another type.
class Json {
 public:
  using Members = std::vector<std::pair<std::string, Json>>;

  // Validates a complete text with one value.
  static Json parse(std::string_view text);

  // Members of an object, in order; a duplicate key is an error.
  Members members(const std::string& where) const;
  // Elements of an array.
  std::vector<Json> items(const std::string& where) const;
  std::string string(const std::string& where) const;
  // A string that is safe in a message: 1 to 256 bytes without control characters.
  std::string name(const std::string& where) const;
  // An integer from `low` to `high`, written without fraction and exponent.
  int64_t integer(const std::string& where, int64_t low, int64_t high) const;
  // A finite float64 in any JSON notation.
  double number(const std::string& where) const;

  // The text of the value.
  std::string_view text() const { return text_; }
  // The text for messages: truncated, on one line.
  std::string excerpt() const;

 private:
  explicit Json(std::string_view text) : text_(text) {}

  void expect(char first, const char* kind, const std::string& where) const;

  std::string_view text_;
};

}  // namespace earbit
