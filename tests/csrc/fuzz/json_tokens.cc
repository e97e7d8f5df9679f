#include "fuzz/json_tokens.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace {

// Around zero, the limits of the loader and of integers, and what is no number of JSON.
const char* const kNumbers[] = {"0",
                                "1",
                                "-1",
                                "2",
                                "3",
                                "7",
                                "63",
                                "64",
                                "65",
                                "100",
                                "255",
                                "65536",
                                "1048576",
                                "1048577",
                                "16777217",
                                "2147483647",
                                "2147483648",
                                "-2147483648",
                                "4294967296",
                                "9007199254740993",
                                "9223372036854775807",
                                "9223372036854775808",
                                "18446744073709551615",
                                "1e400",
                                "-1e400",
                                "1e-400",
                                "3.5e38",
                                "1e-45",
                                "0.5",
                                "-0",
                                "-0.0",
                                "1E2",
                                "01",
                                ".5",
                                "NaN",
                                "Infinity",
                                "\"1\"",
                                "true",
                                "null",
                                "[]",
                                "{}"};

const char* const kStrings[] = {
    "\"\"",         "\"\\u0000\"", "\"\\ud800\"",   "\"\\ud83d\\ude00\"", "\"\xff\"",
    "\"\xc0\x80\"", "\"\xe9\"",    "\"\\x\"",       "\"new\\nline\"",     "\"__proto__\"",
    "\"F64\"",      "\"weight\"",  "\"threshold\"", "\"outputs\"",        "\"origin\""};

bool is_string(const std::string& token) { return token[0] == '"'; }
bool is_number(const std::string& token) {
  return token[0] == '-' || (token[0] >= '0' && token[0] <= '9');
}
bool is_value(const std::string& token) {
  return std::string("]},:").find(token[0]) == std::string::npos;
}

// A token of a kind, or none when the text has none.
template <typename IsKind>
size_t pick(const std::vector<std::string>& tokens, Random& random, IsKind&& is_kind) {
  const size_t start = below(random, tokens.size());
  for (size_t step = 0; step < tokens.size(); ++step) {
    const size_t i = (start + step) % tokens.size();
    if (is_kind(tokens[i])) return i;
  }
  return tokens.size();
}

std::string other_number(const std::string& old, const std::vector<std::string>& tokens,
                         Random& random) {
  switch (below(random, 4)) {
    case 0:
      return tokens[pick(tokens, random, is_number)];
    case 1:
      return kNumbers[below(random, std::size(kNumbers))];
    default: {
      // Numbers near the old one are those that nearly fit.
      const auto value = static_cast<uint64_t>(std::strtoll(old.c_str(), nullptr, 10));
      const uint64_t near[] = {value + 1, value - 1, value * 2, value / 2, 0 - value};
      return std::to_string(static_cast<int64_t>(near[below(random, std::size(near))]));
    }
  }
}

void change_structure(std::vector<std::string>& tokens, Random& random) {
  const size_t begin = pick(tokens, random, is_value);
  if (begin == tokens.size()) return;
  const size_t end = end_of_value(tokens, begin);
  const std::vector<std::string> value(tokens.begin() + begin, tokens.begin() + end);
  const bool has_comma = end < tokens.size() && tokens[end] == ",";
  switch (below(random, 5)) {
    case 0:  // gone, with its comma
      tokens.erase(tokens.begin() + begin, tokens.begin() + end + has_comma);
      return;
    case 1:  // twice
      tokens.insert(tokens.begin() + end, value.begin(), value.end());
      tokens.insert(tokens.begin() + end, ",");
      return;
    case 2: {  // another value in its place
      const size_t from = pick(tokens, random, is_value);
      const std::vector<std::string> other(tokens.begin() + from,
                                           tokens.begin() + end_of_value(tokens, from));
      tokens.erase(tokens.begin() + begin, tokens.begin() + end);
      tokens.insert(tokens.begin() + begin, other.begin(), other.end());
      return;
    }
    case 3: {  // deep inside arrays
      const size_t depth = below(random, 40);
      tokens.insert(tokens.begin() + end, depth, "]");
      tokens.insert(tokens.begin() + begin, depth, "[");
      return;
    }
    default:  // a key after the others
      tokens.insert(tokens.begin() + end, {",", "\"more\"", ":", "0"});
  }
}

}  // namespace

std::vector<std::string> tokens_of(const std::string& json) {
  std::vector<std::string> tokens;
  size_t i = 0;
  while (i < json.size()) {
    size_t end = i + 1;
    if (json[i] == '"') {
      while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, json.size());
    } else if (std::string("{}[],: \n").find(json[i]) == std::string::npos) {
      end = std::min(json.find_first_of("{}[],:\" \n", i), json.size());
    }
    if (json[i] != ' ' && json[i] != '\n') tokens.push_back(json.substr(i, end - i));
    i = end;
  }
  return tokens;
}

size_t end_of_value(const std::vector<std::string>& tokens, size_t i) {
  int depth = 0;
  for (; i < tokens.size(); ++i) {
    if (tokens[i] == "{" || tokens[i] == "[") ++depth;
    if (tokens[i] == "}" || tokens[i] == "]") --depth;
    if (depth <= 0) return i + 1;
  }
  return i;
}

std::string mutated_json(const std::string& json, Random& random) {
  std::vector<std::string> tokens = tokens_of(json);
  if (tokens.empty()) return json;
  const size_t number = pick(tokens, random, is_number);
  const size_t string = pick(tokens, random, is_string);
  const size_t kind = below(random, 10);
  if (kind < 5 && number < tokens.size()) {
    tokens[number] = other_number(tokens[number], tokens, random);
  } else if (kind < 7 && string < tokens.size()) {
    tokens[string] = below(random, 3) == 0 ? kStrings[below(random, std::size(kStrings))]
                                           : tokens[pick(tokens, random, is_string)];
  } else if (kind < 9) {
    change_structure(tokens, random);
  } else {
    std::string& token = tokens[below(random, tokens.size())];
    token[below(random, token.size())] = static_cast<char>(random());
  }
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::string quoted(const std::string& text) {
  std::string literal = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c;
  }
  return literal + '"';
}
