// What ops read and make, from and to plain numbers: numbers that bits and codes stand for, in the
// layouts of bits/layout.h and of the program file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/op.h"
#include "shapes/families.h"

namespace shapes {

// Numbers (rows, cols); int16, for the longest rows have millions.
struct Matrix {
  int rows;
  int cols;
  std::vector<int16_t> numbers;

  int at(int64_t row, int64_t col) const { return numbers[static_cast<size_t>(row) * cols + col]; }
};

// Random values of a set.
Matrix drawn(Draw& draw, int rows, int cols, const earbit::CodeSet& set);

// A matrix as a value: groups of columns as bits, or codes.  Bits: the upper value is 1.
earbit::Value bits_value(earbit::Memory& memory, const Matrix& x, int groups);
earbit::Value codes_value(earbit::Memory& memory, const Matrix& x, const earbit::CodeSet& set);

// Rows of a matrix as bits: every `cols` columns start at a word.
std::vector<uint64_t> packed_bits(const Matrix& x, int cols);

// What an op is built from.
class Parts {
 public:
  Parts& integer(const std::string& name, int value);
  Parts& number(const std::string& name, double value);
  Parts& floats(const std::string& name, std::vector<float> data);
  Parts& floats(const std::string& name, int rows, std::vector<float> data);
  Parts& i32(const std::string& name, std::vector<int32_t> data);
  Parts& words(const std::string& name, int rows, std::vector<uint64_t> data);
  Parts& bytes(const std::string& name, int rows, std::vector<uint8_t> data);

  std::unique_ptr<earbit::Op> op(const std::string& name,
                                 const std::vector<earbit::Value>& inputs) const;
  // Names and integers.
  std::string text() const;

 private:
  std::map<std::string, int64_t> ints_;
  std::map<std::string, double> numbers_;
  std::map<std::string, earbit::Tensor> tensors_;
  std::vector<std::shared_ptr<void>> data_;
};

// The value that an op makes, on 1, 2, 3 and 7 threads: throws Wrong when they differ.
earbit::Value run_on_threads(std::unique_ptr<earbit::Op> op,
                             const std::vector<earbit::Value>& inputs, const std::string& what);

// Throws Wrong unless a value is what dots (rows, cols) are as floats, or, with thresholds, as bits
// dot >= threshold, groups of columns each from a word on.
void compare_dots(const earbit::Value& value, const std::vector<int32_t>& dots,
                  const std::vector<int32_t>& thresholds, const std::string& what);

// Thresholds at, one above and one below random dots of their columns, and some that no dot is
// near: the limits of int32 and of what sums and differences of products fit (2^30), with
// neighbours.
std::vector<int32_t> drawn_thresholds(Draw& draw, const std::vector<int32_t>& dots, int cols);

}  // namespace shapes
