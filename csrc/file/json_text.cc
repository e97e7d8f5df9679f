#include "file/json_text.h"

#include <algorithm>
#include <cstdint>

#include "file/format_error.h"

namespace earbit {
namespace {

[[noreturn]] void fail(size_t at, const std::string& what) {
  throw FormatError("byte " + std::to_string(at) + " of the JSON text: " + what);
}

// Characters allowed after a backslash, except u, and the characters that they encode.
constexpr std::string_view kEscapes = "\"\\/bfnrt";
constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads one value; `at` is the next byte.
class Scanner {
 public:
  Scanner(std::string_view text, size_t begin) : text_(text), at_(begin) {}

  size_t at() const { return at_; }

  void value(int depth) {
    switch (peek()) {
      case '{':
        return sequence('}', depth, [&] {
          string();
          space();
          expect(':', "a colon after a key");
          space();
          value(depth + 1);
        });
      case '[':
        return sequence(']', depth, [&] { value(depth + 1); });
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

 private:
  // The current byte, or 0 at the end; JSON has no byte 0 outside of strings.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void space() { at_ = skip_space(text_, at_); }

  void expect(char c, const char* what) {
    if (peek() != c) fail(at_, std::string("expected ") + what);
    ++at_;
  }

  template <typename Element>
  void sequence(char close, int depth, Element&& element) {
    if (depth >= kMaxJsonDepth) {
      fail(at_, "nested more than " + std::to_string(kMaxJsonDepth) + " deep");
    }
    ++at_;
    space();
    if (peek() == close) {
      ++at_;
      return;
    }
    while (true) {
      element();
      space();
      if (peek() != ',') break;
      ++at_;
      space();
    }
    expect(close, close == '}' ? "a comma or }" : "a comma or ]");
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) fail(at_, "expected a value");
    at_ += expected.size();
  }

  void digits() {
    if (!is_digit(peek())) fail(at_, "expected a digit");
    while (is_digit(peek())) ++at_;
  }

  void number() {
    if (peek() == '-') {
      ++at_;
    } else if (!is_digit(peek())) {
      fail(at_, "expected a value");
    }
    if (peek() == '0') {
      ++at_;
    } else {
      digits();
    }
    if (peek() == '.') {
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
  }

  void string() {
    expect('"', "a string in quotes");
    while (peek() != '"') {
      if (at_ == text_.size()) fail(at_, "a string without an end");
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte < 0x20) fail(at_, "a control character in a string; write it as \\u00..");
      if (byte == '\\') {
        escape();
      } else if (byte < 0x80) {
        ++at_;
      } else {
        utf8();
      }
    }
    ++at_;
  }

  void escape() {
    const size_t begin = at_;
    ++at_;
    const char kind = peek();
    ++at_;
    if (kind != 'u') {
      if (kEscapes.find(kind) == std::string_view::npos) {
        fail(begin, "an unknown escape in a string");
      }
      return;
    }
    const uint32_t unit = hex4();
    if (unit < 0xD800 || unit > 0xDFFF) return;
    // Characters beyond U+FFFF are written as a high surrogate and a low one.
    if (unit <= 0xDBFF && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const uint32_t low = hex4();
      if (low >= 0xDC00 && low <= 0xDFFF) return;
    }
    fail(begin, "half of a surrogate pair");
  }

  uint32_t hex4() {
    uint32_t unit = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const char lower = static_cast<char>(c | 0x20);
      if (is_digit(c)) {
        unit = unit * 16 + static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        unit = unit * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        fail(at_, "expected four hexadecimal digits after \\u");
      }
    }
    return unit;
  }

  // One character of two to four bytes: not overlong, not a surrogate, below U+110000.
  void utf8() {
    const auto lead = static_cast<unsigned char>(text_[at_]);
    const int n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4) fail(at_, "not UTF-8");
    uint32_t character = lead & (0x3Fu >> n_more);
    for (int i = 1; i <= n_more; ++i) {
      const size_t next = at_ + static_cast<size_t>(i);
      const auto byte = static_cast<unsigned char>(next < text_.size() ? text_[next] : '\0');
      if ((byte & 0xC0) != 0x80) fail(at_, "not UTF-8");
      character = character << 6 | (byte & 0x3F);
    }
    const bool is_overlong = n_more == 2 ? character < 0x800 : n_more == 3 && character < 0x10000;
    if (is_overlong || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) {
      fail(at_, "not UTF-8");
    }
    at_ += static_cast<size_t>(n_more) + 1;
  }

  std::string_view text_;
  size_t at_;
};

void append_utf8(uint32_t character, std::string& out) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | (character >> shift & 0x3F));
  };
  if (character < 0x80) {
    out += static_cast<char>(character);
  } else if (character < 0x800) {
    out += static_cast<char>(0xC0 | character >> 6);
    tail(0);
  } else if (character < 0x10000) {
    out += static_cast<char>(0xE0 | character >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | character >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

size_t end_of_json(std::string_view text, size_t begin) {
  Scanner scanner(text, begin);
  scanner.value(0);
  return scanner.at();
}

size_t skip_space(std::string_view text, size_t begin) {
  const size_t end = text.find_first_not_of(" \t\n\r", begin);
  return end == std::string_view::npos ? text.size() : end;
}

std::string unescaped(std::string_view literal) {
  const std::string_view body = literal.substr(1, literal.size() - 2);
  const auto unit_at = [&](size_t at) {
    return static_cast<uint32_t>(std::stoul(std::string(body.substr(at, 4)), nullptr, 16));
  };
  std::string text;
  text.reserve(body.size());
  size_t at = 0;
  while (at < body.size()) {
    const size_t escape = std::min(body.find('\\', at), body.size());
    text.append(body, at, escape - at);
    if (escape == body.size()) break;
    at = escape + 2;
    if (body[escape + 1] != 'u') {
      text += kMeanings[kEscapes.find(body[escape + 1])];
      continue;
    }
    uint32_t character = unit_at(at);
    at += 4;
    if (character >= 0xD800 && character <= 0xDBFF) {
      character = 0x10000 + ((character - 0xD800) << 10) + (unit_at(at + 2) - 0xDC00);
      at += 6;
    }
    append_utf8(character, text);
  }
  return text;
}

}  // namespace earbit
