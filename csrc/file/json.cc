#include "file/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "file/format_error.h"
#include "file/json_text.h"

namespace earbit {
namespace {

constexpr size_t kMaxName = 256;
constexpr size_t kMaxExcerpt = 60;

const char* kind_of(char first) {
  switch (first) {
    case '{':
      return "an object";
    case '[':
      return "an array";
    case '"':
      return "a string";
    case 't':
    case 'f':
      return "a truth value";
    case 'n':
      return "null";
    default:
      return "a number";
  }
}

// Calls element(begin), which returns the end of the value, for every value of a validated array or
// object.
template <typename Element>
void for_each(std::string_view text, Element&& element) {
  size_t at = skip_space(text, 1);
  while (text[at] != ']' && text[at] != '}') {
    at = skip_space(text, element(at));
    if (text[at] == ',') at = skip_space(text, at + 1);
  }
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

Json Json::parse(std::string_view text) {
  const size_t begin = skip_space(text, 0);
  const size_t end = end_of_json(text, begin);
  if (skip_space(text, end) != text.size()) {
    throw FormatError("byte " + std::to_string(end) + " of the JSON text: expected its end");
  }
  return Json(text.substr(begin, end - begin));
}

void Json::expect(char first, const char* kind, const std::string& where) const {
  if (text_[0] == first) return;
  throw FormatError(where + ": " + kind_of(text_[0]) + ", expected " + kind);
}

Json::Members Json::members(const std::string& where) const {
  expect('{', "an object", where);
  Members members;
  for_each(text_, [&](size_t begin) {
    const size_t key_end = end_of_json(text_, begin);
    const size_t colon = skip_space(text_, key_end);
    const size_t value = skip_space(text_, colon + 1);
    const size_t end = end_of_json(text_, value);
    members.emplace_back(Json(text_.substr(begin, key_end - begin)).name(where + ": a key"),
                         Json(text_.substr(value, end - value)));
    return end;
  });
  std::vector<std::string_view> keys;
  keys.reserve(members.size());
  for (const auto& [key, value] : members) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end()) throw FormatError(where + ": '" + std::string(*twice) + "' twice");
  return members;
}

std::vector<Json> Json::items(const std::string& where) const {
  expect('[', "an array", where);
  std::vector<Json> items;
  for_each(text_, [&](size_t begin) {
    const size_t end = end_of_json(text_, begin);
    items.push_back(Json(text_.substr(begin, end - begin)));
    return end;
  });
  return items;
}

std::string Json::string(const std::string& where) const {
  expect('"', "a string", where);
  return unescaped(text_);
}

std::string Json::name(const std::string& where) const {
  std::string name = string(where);
  if (name.empty() || name.size() > kMaxName || std::any_of(name.begin(), name.end(), is_control)) {
    throw FormatError(where + ": " + excerpt() + " is no name; allowed are 1 to " +
                      std::to_string(kMaxName) + " bytes without control characters");
  }
  return name;
}

int64_t Json::integer(const std::string& where, int64_t low, int64_t high) const {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error != std::errc() || end != text_.data() + text_.size() || value < low || value > high) {
    throw FormatError(where + ": " + excerpt() + " is no integer from " + std::to_string(low) +
                      " to " + std::to_string(high));
  }
  return value;
}

double Json::number(const std::string& where) const {
  double value = 0;
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error != std::errc() || end != text_.data() + text_.size() || !std::isfinite(value)) {
    throw FormatError(where + ": " + excerpt() + " is no finite number of 64 bits");
  }
  return value;
}

std::string Json::excerpt() const {
  std::string excerpt(text_.substr(0, kMaxExcerpt));
  if (excerpt.size() < text_.size()) {
    // Truncates at a character boundary.
    while ((static_cast<unsigned char>(text_[excerpt.size()]) & 0xC0) == 0x80) excerpt.pop_back();
    excerpt += "...";
  }
  std::replace_if(excerpt.begin(), excerpt.end(), is_control, ' ');
  return excerpt;
}

}  // namespace earbit
