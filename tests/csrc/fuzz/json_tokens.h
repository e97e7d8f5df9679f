// JSON text as tokens, and changes to it that keep most of its structure.
#pragma once

#include <random>
#include <string>
#include <vector>

using Random = std::mt19937_64;

// A number below n.
inline size_t below(Random& random, size_t n) { return static_cast<size_t>(random() % n); }

// Strings with their quotes, numbers, words, brackets, commas and colons; no white space.
std::vector<std::string> tokens_of(const std::string& json);

// The place behind the value that begins at token i.
size_t end_of_value(const std::vector<std::string>& tokens, size_t i);

// One change of a number, a string, a whole value or a few bytes.  The result need not be JSON.
std::string mutated_json(const std::string& json, Random& random);

// The text as a JSON string, quotes included; it holds no control characters.
std::string quoted(const std::string& text);
