// The header of a safetensors file: https://github.com/huggingface/safetensors, "Format".
//
// The first 8 bytes, little-endian, are the length of the header.  The header is JSON with a record
// per tensor and strings under __metadata__.  The data of the tensors follows without gaps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "file/json.h"
#include "file/source.h"
#include "graph/dtype.h"

namespace earbit {

// Where a tensor lies in the file.
struct TensorRecord {
  Dtype dtype;
  std::vector<int64_t> shape;
  uint64_t offset;   // from the beginning of the file
  uint64_t n_bytes;  // of all its elements
};

class SafetensorsHeader {
 public:
  // Reads the header; throws FormatError when there is none.
  explicit SafetensorsHeader(const Source& source);
  SafetensorsHeader(const SafetensorsHeader&) = delete;
  SafetensorsHeader& operator=(const SafetensorsHeader&) = delete;

  // What stands under __metadata__ by that key, if anything.
  std::optional<std::string> metadata(const std::string& key) const;

  // All tensors, by name.  Throws FormatError when one is not of a type of dtype.h, does not lie
  // in the file, is not as long as its shape says, or when two overlap or leave a hole.
  std::map<std::string, TensorRecord> tensors() const;

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  Json::Members members_;  // of text_
  uint64_t n_data_;        // bytes after the header
};

}  // namespace earbit
