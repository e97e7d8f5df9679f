// JSON values, read with checked types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace earbit {

// One value: a view into its text, which must outlive it.  Nothing is copied before it is asked
// for, so a text costs no more memory than what is made of it.
//
// `where` names the value in errors, "op 3 inputs" for example.  Every function throws FormatError
// when the value is of another kind.
class Json {
 public:
  using Members = std::vector<std::pair<std::string, Json>>;

  // Checks a whole text, which holds one value.
  static Json parse(std::string_view text);

  // Of an object, in order; a key that occurs twice is an error.
  Members members(const std::string& where) const;
  // Of an array.
  std::vector<Json> items(const std::string& where) const;
  std::string string(const std::string& where) const;
  // A string that can stand in a message: 1 to 256 bytes without control characters.
  std::string name(const std::string& where) const;
  // Written without fraction and exponent, between `low` and `high`.
  int64_t integer(const std::string& where, int64_t low, int64_t high) const;
  // A finite float64, written in any way.
  double number(const std::string& where) const;

  // The value as it is written.
  std::string_view text() const { return text_; }
  // The same for messages: cut short, on one line.
  std::string excerpt() const;

 private:
  explicit Json(std::string_view text) : text_(text) {}

  void expect(char first, const char* kind, const std::string& where) const;

  std::string_view text_;
};

}  // namespace earbit
