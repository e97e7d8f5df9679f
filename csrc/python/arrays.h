// NumPy arrays of values, which keep their memory.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <vector>

#include "graph/value.h"

namespace earbit {

using Waveform =
    nanobind::ndarray<const float, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

template <typename T>
nanobind::object array_of(const std::shared_ptr<T[]>& data, std::vector<size_t> shape) {
  auto* owner = new std::shared_ptr<T[]>(data);
  nanobind::capsule capsule(owner,
                            [](void* p) noexcept { delete static_cast<std::shared_ptr<T[]>*>(p); });
  return nanobind::cast(
      nanobind::ndarray<nanobind::numpy, T>(data.get(), shape.size(), shape.data(), capsule));
}

inline nanobind::list arrays_of(const std::vector<Value>& values) {
  nanobind::list arrays;
  for (const Value& value : values) {
    const auto rows = static_cast<size_t>(value.rows);
    const auto cols = static_cast<size_t>(value.type.cols);
    switch (value.type.kind) {
      case Kind::floats:
        arrays.append(array_of(value.floats, {rows, cols}));
        break;
      case Kind::bits:
        arrays.append(array_of(value.words, {static_cast<size_t>(value.type.groups), rows,
                                             static_cast<size_t>(value.type.words())}));
        break;
      case Kind::codes:
        arrays.append(array_of(value.codes, {rows, cols}));
        break;
    }
  }
  return arrays;
}

}  // namespace earbit
