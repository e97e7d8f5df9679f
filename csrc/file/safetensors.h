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

// Position and shape of a tensor in the file.
struct TensorRecord {
  Dtype dtype;
  std::vector<int64_t> shape;
  uint64_t offset;   // from the start of the file
  uint64_t n_bytes;  // total size
};

class SafetensorsHeader {
 public:
  // Reads the header; throws FormatError if it is missing or invalid.
  explicit SafetensorsHeader(const Source& source);
  SafetensorsHeader(const SafetensorsHeader&) = delete;
  SafetensorsHeader& operator=(const SafetensorsHeader&) = delete;

  // The entry of __metadata__ with this key, if any.
  std::optional<std::string> metadata(const std::string& key) const;

  // All tensors by name.  Throws FormatError if a tensor has a type that dtype.h lacks, lies
  // outside of the file, has a size that does not match its shape, overlaps another or leaves a
  // gap.
  std::map<std::string, TensorRecord> tensors() const;

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  Json::Members members_;  // views into text_
  uint64_t n_data_;        // bytes after the header
};

}  // namespace earbit
