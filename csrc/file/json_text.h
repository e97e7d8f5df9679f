// Parser of strict JSON (RFC 8259): no comments, no trailing commas, no NaN, only UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace earbit {

// Maximum nesting of arrays and objects; a program needs 8.
constexpr int kMaxJsonDepth = 32;

// Returns the end of the value that starts at text[begin]; allocates no memory.  Throws FormatError
// with the position if there is no JSON value or if it is nested deeper than kMaxJsonDepth.
size_t end_of_json(std::string_view text, size_t begin);

// Position of the first byte from `begin` that is not white space.
size_t skip_space(std::string_view text, size_t begin);

// Decodes a JSON string; `literal` includes the quotes.
std::string unescaped(std::string_view literal);

}  // namespace earbit
