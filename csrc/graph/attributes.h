// What an op is given when a program is built.  Every attribute must be asked for: what is missing,
// out of range, of the wrong shape or left over is an error that names it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace earbit {

enum class Dtype { f32, i32, u64, u8 };

struct Tensor {
  Dtype dtype;
  std::vector<int64_t> shape;
  const void* data;
};

class Attributes {
 public:
  Attributes(std::map<std::string, int64_t> ints, std::map<std::string, double> floats,
             std::map<std::string, Tensor> tensors);

  int integer(const std::string& name, int64_t low, int64_t high);
  float number(const std::string& name);
  bool has_tensor(const std::string& name) const { return tensors_.count(name) > 0; }
  std::vector<float> f32(const std::string& name, const std::vector<int64_t>& shape);
  std::vector<int32_t> i32(const std::string& name, const std::vector<int64_t>& shape);
  std::vector<uint64_t> u64(const std::string& name, const std::vector<int64_t>& shape);
  std::vector<uint8_t> u8(const std::string& name, const std::vector<int64_t>& shape);
  // Rows of a matrix whose other size is known; -1 when there is no such matrix.
  int64_t rows(const std::string& name) const;

  // Throws when something was given that no one asked for.
  void finish() const;

 private:
  const Tensor& take(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape);

  std::map<std::string, int64_t> ints_;
  std::map<std::string, double> floats_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, bool> used_;
};

}  // namespace earbit
