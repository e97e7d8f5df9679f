// Values between ops: a float matrix, a stack of packed bit matrices, or a matrix of codes.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "bits/code_set.h"
#include "bits/layout.h"
#include "graph/memory.h"

namespace earbit {

enum class Kind { floats, bits, codes };

// Maximum size of a value; larger runs are refused before they exhaust memory.  32 GiB hold 87
// minutes after the first convolution of HuBERT Base (512 channels at 3200 Hz), the largest value
// of all presets.
constexpr int64_t kMaxBytes = int64_t{1} << 35;

// A row has at least one byte.
constexpr int64_t kMaxRows = kMaxBytes;

// Properties of a value that do not depend on the audio: all but the number of rows (frames,
// samples).
struct Type {
  Kind kind = Kind::floats;
  int cols = 0;            // floats, codes: columns
  int groups = 0;          // bits: matrices, each starting at a word border
  int bits_per_group = 0;  // bits: columns of one of them
  CodeSet set = {};        // codes: their values

  static Type floats(int cols) { return {Kind::floats, cols, 0, 0, {}}; }
  static Type bits(int groups, int bits_per_group) {
    return {Kind::bits, 0, groups, bits_per_group, {}};
  }
  static Type codes(int cols, CodeSet set) { return {Kind::codes, cols, 0, 0, set}; }
  int words() const { return static_cast<int>(words_for(bits_per_group)); }
  int64_t row_bytes() const {
    switch (kind) {
      case Kind::bits:
        return static_cast<int64_t>(groups) * words() * int64_t{sizeof(uint64_t)};
      case Kind::codes:
        return cols;
      case Kind::floats:
        break;
    }
    return static_cast<int64_t>(cols) * int64_t{sizeof(float)};
  }

  // Size of a value with n rows in bytes.  Throws std::invalid_argument above kMaxBytes.
  int64_t bytes(int64_t rows) const {
    if (rows < 0 || (rows > 0 && row_bytes() > kMaxBytes / rows)) {
      throw std::invalid_argument("a value of " + std::to_string(rows) + " rows of " +
                                  std::to_string(row_bytes()) + " bytes is larger than " +
                                  std::to_string(kMaxBytes >> 30) + " GiB; cut the audio");
    }
    return rows * row_bytes();
  }
};

// A value of a run.  Floats and codes: (rows, cols), row-major.  Bits: (groups, rows, words).
struct Value {
  Type type;
  int64_t rows = 0;
  std::shared_ptr<float[]> floats;
  std::shared_ptr<uint64_t[]> words;
  std::shared_ptr<uint8_t[]> codes;

  // Not initialised.  Throws std::invalid_argument for one that is larger than kMaxBytes.
  static Value make(Memory& memory, const Type& type, int64_t rows) {
    return in(memory.take(static_cast<size_t>(type.bytes(rows))), type, rows);
  }

  // In a block that is large enough.
  static Value in(const std::shared_ptr<void>& block, const Type& type, int64_t rows) {
    Value value{type, rows, nullptr, nullptr, nullptr};
    switch (type.kind) {
      case Kind::floats:
        value.floats = {block, static_cast<float*>(block.get())};
        break;
      case Kind::bits:
        value.words = {block, static_cast<uint64_t*>(block.get())};
        break;
      case Kind::codes:
        value.codes = {block, static_cast<uint8_t*>(block.get())};
        break;
    }
    return value;
  }

  void* data() const {
    switch (type.kind) {
      case Kind::bits:
        return words.get();
      case Kind::codes:
        return codes.get();
      case Kind::floats:
        break;
    }
    return floats.get();
  }

  float* row(int64_t i) const { return floats.get() + i * type.cols; }
  uint64_t* group(int g) const {
    return words.get() + static_cast<int64_t>(g) * rows * type.words();
  }
  uint8_t* codes_row(int64_t i) const { return codes.get() + i * type.cols; }
  int64_t size() const { return rows * type.cols; }
};

}  // namespace earbit
