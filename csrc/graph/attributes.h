// Attributes of an op in a program file.  Every attribute must be read: an attribute that is
// missing, out of range, of the wrong shape or unread is an error that names it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "graph/dtype.h"

namespace earbit {

struct Tensor {
  Dtype dtype;
  std::vector<int64_t> shape;
  const void* data;
};

// The elements of a tensor, valid only while an op is built.  An op copies the data that it keeps,
// to a vector or into its own layout.
template <typename T>
class Elements : public std::span<const T> {
 public:
  using std::span<const T>::span;
  operator std::vector<T>() const { return {this->begin(), this->end()}; }
};

class Attributes {
 public:
  // Throws std::invalid_argument if a name occurs twice.
  Attributes(std::map<std::string, int64_t> ints, std::map<std::string, double> floats,
             std::map<std::string, Tensor> tensors);

  int integer(const std::string& name, int64_t low, int64_t high);
  float number(const std::string& name);
  // A number above 0.
  float positive(const std::string& name);
  bool has_integer(const std::string& name) const { return ints_.count(name) > 0; }
  bool has_tensor(const std::string& name) const { return tensors_.count(name) > 0; }
  Elements<float> f32(const std::string& name, const std::vector<int64_t>& shape);
  Elements<int32_t> i32(const std::string& name, const std::vector<int64_t>& shape);
  Elements<uint64_t> u64(const std::string& name, const std::vector<int64_t>& shape);
  Elements<uint8_t> u8(const std::string& name, const std::vector<int64_t>& shape);
  // Number of rows of a matrix with a known number of columns; -1 if there is no such matrix.
  int64_t rows(const std::string& name) const;
  // The same of columns.
  int64_t columns(const std::string& name) const;

  // Throws if an attribute was not read.
  void finish() const;

 private:
  const Tensor& take(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape);

  std::map<std::string, int64_t> ints_;
  std::map<std::string, double> floats_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, bool> used_;
};

}  // namespace earbit
