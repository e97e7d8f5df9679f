#include "graph/attributes.h"

#include <cmath>
#include <stdexcept>

namespace earbit {
namespace {

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

size_t count(const Tensor& tensor) {
  size_t n = 1;
  for (int64_t side : tensor.shape) n *= static_cast<size_t>(side);
  return n;
}

}  // namespace

Attributes::Attributes(std::map<std::string, int64_t> ints, std::map<std::string, double> floats,
                       std::map<std::string, Tensor> tensors)
    : ints_(std::move(ints)), floats_(std::move(floats)), tensors_(std::move(tensors)) {
  const auto expect_once = [this](const auto& attributes) {
    for (const auto& [name, value] : attributes) {
      if (used_.emplace(name, false).second) continue;
      throw std::invalid_argument("'" + name +
                                  "' is given twice, among integers, numbers and tensors");
    }
  };
  expect_once(ints_);
  expect_once(floats_);
  expect_once(tensors_);
}

int Attributes::integer(const std::string& name, int64_t low, int64_t high) {
  const auto found = ints_.find(name);
  if (found == ints_.end()) throw std::invalid_argument("integer '" + name + "' is missing");
  used_[name] = true;
  if (found->second < low || found->second > high) {
    throw std::invalid_argument(name + "=" + std::to_string(found->second) + "; allowed are " +
                                std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<int>(found->second);
}

float Attributes::number(const std::string& name) {
  const auto found = floats_.find(name);
  if (found == floats_.end()) throw std::invalid_argument("number '" + name + "' is missing");
  used_[name] = true;
  const auto value = static_cast<float>(found->second);
  if (!std::isfinite(value)) throw std::invalid_argument(name + " is not a finite float32");
  return value;
}

float Attributes::positive(const std::string& name) {
  const float value = number(name);
  if (!(value > 0)) {
    throw std::invalid_argument(name + " must be above 0, not " + std::to_string(value));
  }
  return value;
}

const Tensor& Attributes::take(const std::string& name, Dtype dtype,
                               const std::vector<int64_t>& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::invalid_argument("tensor '" + name + "' is missing");
  used_[name] = true;
  const Tensor& tensor = found->second;
  if (tensor.dtype != dtype || tensor.shape != shape) {
    throw std::invalid_argument("tensor '" + name + "' is " + info_of(tensor.dtype).name + " " +
                                text_of(tensor.shape) + ", expected " + info_of(dtype).name + " " +
                                text_of(shape));
  }
  return tensor;
}

Elements<float> Attributes::f32(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = take(name, Dtype::f32, shape);
  const auto* data = static_cast<const float*>(tensor.data);
  return {data, count(tensor)};
}

Elements<int32_t> Attributes::i32(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = take(name, Dtype::i32, shape);
  const auto* data = static_cast<const int32_t*>(tensor.data);
  return {data, count(tensor)};
}

Elements<uint64_t> Attributes::u64(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = take(name, Dtype::u64, shape);
  const auto* data = static_cast<const uint64_t*>(tensor.data);
  return {data, count(tensor)};
}

Elements<uint8_t> Attributes::u8(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = take(name, Dtype::u8, shape);
  const auto* data = static_cast<const uint8_t*>(tensor.data);
  return {data, count(tensor)};
}

int64_t Attributes::rows(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || found->second.shape.size() != 2) return -1;
  return found->second.shape[0];
}

int64_t Attributes::columns(const std::string& name) const {
  return rows(name) < 0 ? -1 : tensors_.at(name).shape[1];
}

void Attributes::finish() const {
  for (const auto& [name, is_used] : used_) {
    if (!is_used) throw std::invalid_argument("this op has no '" + name + "'");
  }
}

}  // namespace earbit
