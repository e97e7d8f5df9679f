// Table of tensor types, their sizes and their names in files.
#pragma once

namespace earbit {

enum class Dtype { f32, i32, u64, u8 };

struct DtypeInfo {
  Dtype dtype;
  const char* name;              // numpy's
  const char* safetensors_name;  // in the header of a file
  int n_bytes;                   // of an element
};

inline constexpr DtypeInfo kDtypes[] = {
    {Dtype::f32, "float32", "F32", 4},
    {Dtype::i32, "int32", "I32", 4},
    {Dtype::u64, "uint64", "U64", 8},
    {Dtype::u8, "uint8", "U8", 1},
};

constexpr const DtypeInfo& info_of(Dtype dtype) { return kDtypes[static_cast<int>(dtype)]; }

}  // namespace earbit
