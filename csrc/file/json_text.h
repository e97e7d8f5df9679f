// Parser of strict JSON (RFC 8259): no comments, no trailing commas, no NaN, only UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace earbit {

// Arrays and objects inside each other at most; a program needs 8.
constexpr int kMaxJsonDepth = 32;

// Where the value that starts at text[begin] ends; no memory is allocated.  Throws FormatError that
// names the byte when there is no JSON value or when it is nested deeper than kMaxJsonDepth.
size_t end_of_json(std::string_view text, size_t begin);

// The first byte from `begin` on that is not white space.
size_t skip_space(std::string_view text, size_t begin);

// What a string stands for: `literal` is a JSON string as it is written, quotes included.
std::string unescaped(std::string_view literal);

}  // namespace earbit
