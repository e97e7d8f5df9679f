// Program files that are nearly right: a valid one, with one to three changes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/json_tokens.h"

// A valid file in its parts, so that a part can change and the rest still fits.
struct Seed {
  struct Tensor {
    std::string name;
    std::string dtype;  // as the header writes it
    std::vector<int64_t> shape;
    std::string data;
  };

  std::vector<Tensor> tensors;
  std::string program;  // the JSON of its metadata

  // Throws when the file is not valid.
  static Seed read(const std::string& path);

  // The whole file; the header's JSON is passed through `change` before its length is written.
  template <typename Change>
  std::string bytes(Change&& change) const {
    return file_of(change(header()));
  }

 private:
  std::string header() const;
  std::string file_of(const std::string& header) const;
};

// The bytes of a file that differs from the seed.
std::string mutated(Seed seed, Random& random);
