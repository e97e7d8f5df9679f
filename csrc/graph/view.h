// Rows of a value in memory, which may be the whole value or a part of it.
#pragma once

#include "graph/rows.h"
#include "graph/value.h"

namespace earbit {

// Rows of a value by their numbers in the whole value.  Floats and codes: row-major.  Bits: groups
// are `held` rows apart.
struct View {
  Type type;
  Rows rows;
  void* data = nullptr;
  int64_t held = 0;

  // Ops never write to samples.
  static View of_samples(const float* waveform, int64_t n) {
    return {Type::floats(1), {0, n}, const_cast<float*>(waveform), n};
  }

  static View of(const Value& value) {
    return {value.type, {0, value.rows}, value.data(), value.rows};
  }

  float* row(int64_t i) const { return static_cast<float*>(data) + (i - rows.begin) * type.cols; }
  uint8_t* codes_row(int64_t i) const {
    return static_cast<uint8_t*>(data) + (i - rows.begin) * type.cols;
  }
  uint64_t* bits_row(int g, int64_t i) const {
    return static_cast<uint64_t*>(data) + (g * held + i - rows.begin) * type.words();
  }
};

}  // namespace earbit
