#include "shapes/operands.h"

#include "graph/executor.h"

namespace shapes {

using earbit::CodeSet;
using earbit::Dtype;
using earbit::kWordBits;
using earbit::Memory;
using earbit::Value;
using earbit::words_for;

Matrix drawn(Draw& draw, int rows, int cols, const CodeSet& set) {
  Matrix x{rows, cols, {}};
  x.numbers = draw.numbers<int16_t>(static_cast<size_t>(rows) * cols, 0, set.largest());
  for (int16_t& number : x.numbers) number = static_cast<int16_t>(set.value(number));
  return x;
}

std::vector<uint64_t> packed_bits(const Matrix& x, int cols) {
  const int64_t words = words_for(cols);
  std::vector<uint64_t> bits(static_cast<size_t>(x.rows) * (x.cols / cols) * words);
  uint64_t* out = bits.data();
  for (int i = 0; i < x.rows; ++i) {
    for (int first = 0; first < x.cols; first += cols, out += words) {
      for (int j = 0; j < cols; ++j) {
        out[j / kWordBits] |= uint64_t{x.at(i, first + j) > 0} << (j % kWordBits);
      }
    }
  }
  return bits;
}

Value bits_value(Memory& memory, const Matrix& x, int groups) {
  const int cols = x.cols / groups;
  Value value = Value::make(memory, earbit::Type::bits(groups, cols), x.rows);
  const std::vector<uint64_t> bits = packed_bits(x, cols);
  const int words = value.type.words();
  for (int g = 0; g < groups; ++g) {
    for (int i = 0; i < x.rows; ++i) {
      std::copy_n(bits.data() + (static_cast<size_t>(i) * groups + g) * words, words,
                  value.group(g) + static_cast<ptrdiff_t>(i) * words);
    }
  }
  return value;
}

Value codes_value(Memory& memory, const Matrix& x, const CodeSet& set) {
  Value value = Value::make(memory, earbit::Type::codes(x.cols, set), x.rows);
  for (size_t i = 0; i < x.numbers.size(); ++i) {
    value.codes.get()[i] = static_cast<uint8_t>((x.numbers[i] - set.low()) / set.step());
  }
  return value;
}

Parts& Parts::integer(const std::string& name, int value) {
  ints_[name] = value;
  return *this;
}

Parts& Parts::number(const std::string& name, double value) {
  numbers_[name] = value;
  return *this;
}

namespace {

template <typename T>
earbit::Tensor tensor(Dtype dtype, std::vector<int64_t> shape, std::vector<T> data,
                      std::vector<std::shared_ptr<void>>& owners) {
  auto owner = std::make_shared<std::vector<T>>(std::move(data));
  owners.push_back(owner);
  return {dtype, std::move(shape), owner->data()};
}

int64_t side(size_t n) { return static_cast<int64_t>(n); }

}  // namespace

Parts& Parts::floats(const std::string& name, std::vector<float> data) {
  tensors_[name] = tensor(Dtype::f32, {side(data.size())}, data, data_);
  return *this;
}

Parts& Parts::floats(const std::string& name, int rows, std::vector<float> data) {
  tensors_[name] = tensor(Dtype::f32, {rows, side(data.size()) / rows}, data, data_);
  return *this;
}

Parts& Parts::i32(const std::string& name, std::vector<int32_t> data) {
  tensors_[name] = tensor(Dtype::i32, {side(data.size())}, data, data_);
  return *this;
}

Parts& Parts::words(const std::string& name, int rows, std::vector<uint64_t> data) {
  tensors_[name] = tensor(Dtype::u64, {rows, side(data.size()) / rows}, data, data_);
  return *this;
}

Parts& Parts::bytes(const std::string& name, int rows, std::vector<uint8_t> data) {
  tensors_[name] = tensor(Dtype::u8, {rows, side(data.size()) / rows}, data, data_);
  return *this;
}

std::unique_ptr<earbit::Op> Parts::op(const std::string& name,
                                      const std::vector<Value>& inputs) const {
  std::vector<earbit::Type> types;
  for (const Value& input : inputs) types.push_back(input.type);
  earbit::Attributes attributes(ints_, numbers_, tensors_);
  return earbit::make_op(name, types, attributes);
}

std::string Parts::text() const {
  std::string text;
  for (const auto& [name, value] : ints_) text += " " + name + "=" + std::to_string(value);
  for (const auto& [name, value] : tensors_) text += " " + name;
  return text;
}

namespace {

// Makes rows of a value that is there already.
class Given : public earbit::Op {
 public:
  explicit Given(const Value& value) : value_(value) {}

  const earbit::Type& type() const override { return value_.type; }
  earbit::Needs needs(size_t) const override { return earbit::Needs::all(); }
  int64_t rows(const std::vector<int64_t>&) const override { return value_.rows; }
  earbit::BlockRows block_rows() const override { return {64, 1}; }

  void run_rows(const earbit::Block& block) const override {
    const earbit::View x = earbit::View::of(value_);
    const int n_parts = value_.type.kind == earbit::Kind::bits ? value_.type.groups : 1;
    const int64_t n_bytes = value_.type.row_bytes() / n_parts;
    for (int part = 0; part < n_parts; ++part) {
      const char* from =
          static_cast<const char*>(x.data) + (part * x.held + block.rows.begin) * n_bytes;
      char* out = static_cast<char*>(block.y.data) +
                  (part * block.y.held + block.rows.begin - block.y.rows.begin) * n_bytes;
      std::memcpy(out, from, static_cast<size_t>(block.rows.size() * n_bytes));
    }
  }

 private:
  const Value& value_;
};

}  // namespace

Value run_on_threads(std::unique_ptr<earbit::Op> op, const std::vector<Value>& inputs,
                     const std::string& what) {
  std::vector<earbit::Step> steps;
  std::vector<int> ids;
  std::vector<int64_t> n_rows;
  for (const Value& input : inputs) {
    n_rows.push_back(input.rows);
    steps.push_back({"given", {0}, std::make_unique<Given>(input)});
    ids.push_back(static_cast<int>(steps.size()));
  }
  n_rows.push_back(op->rows(n_rows));
  n_rows.insert(n_rows.begin(), 1);
  steps.push_back({"op", ids, std::move(op)});
  std::vector<int64_t> row_bytes = {4};
  for (const earbit::Step& step : steps) row_bytes.push_back(step.op->type().row_bytes());
  const auto n_bytes = static_cast<size_t>(n_rows.back() * row_bytes.back());
  const earbit::Plan plan = make_plan(steps, {{static_cast<int>(steps.size())}}, row_bytes, n_rows);
  const auto run = [&](int n_threads) {
    const auto memory = std::make_shared<Memory>();
    {
      // Blocks that the op is given next: what it does not write must not be right by chance.
      std::vector<std::shared_ptr<void>> blocks;
      for (int i = 0; i < 4; ++i) {
        blocks.push_back(memory->take(n_bytes));
        std::memset(blocks.back().get(), 0xa5, n_bytes);
      }
    }
    const float nothing = 0;
    earbit::Executor executor(steps, plan, n_rows, *memory, n_threads, nullptr);
    return executor.run({earbit::View::of_samples(&nothing, 1)}).front();
  };
  Value alone = run(1);
  for (int n_threads : {2, 3, 7}) {
    const Value value = run(n_threads);
    if (value.rows == alone.rows && std::memcmp(value.data(), alone.data(), n_bytes) == 0) {
      continue;
    }
    throw Wrong("other bits on " + std::to_string(n_threads) + " threads: " + what);
  }
  return alone;
}

void compare_dots(const Value& value, const std::vector<int32_t>& dots,
                  const std::vector<int32_t>& thresholds, const std::string& what) {
  const bool is_bits = value.type.kind == earbit::Kind::bits;
  const int cols = is_bits ? value.type.groups * value.type.bits_per_group : value.type.cols;
  if (value.rows * cols != side(dots.size())) throw Wrong("other sizes: " + what);
  bool is_right = true;
  if (is_bits) {
    Matrix y{static_cast<int>(value.rows), cols, {}};
    for (size_t i = 0; i < dots.size(); ++i) y.numbers.push_back(dots[i] >= thresholds[i % cols]);
    const std::vector<uint64_t> bits = packed_bits(y, value.type.bits_per_group);
    const int words = value.type.words();
    for (int i = 0; i < y.rows; ++i) {
      for (int g = 0; g < value.type.groups; ++g) {
        is_right &=
            std::equal(value.group(g) + static_cast<ptrdiff_t>(i) * words,
                       value.group(g) + static_cast<ptrdiff_t>(i + 1) * words,
                       bits.data() + (static_cast<size_t>(i) * value.type.groups + g) * words);
      }
    }
  } else {
    for (size_t i = 0; i < dots.size(); ++i) {
      is_right &= value.floats.get()[i] == static_cast<float>(dots[i]);
    }
  }
  if (!is_right) throw Wrong("not what plain arithmetic gives: " + what);
}

std::vector<int32_t> drawn_thresholds(Draw& draw, const std::vector<int32_t>& dots, int cols) {
  const int rows = static_cast<int>(dots.size()) / cols;
  constexpr int32_t kBorder = 1 << 30;
  constexpr int32_t kFar[] = {INT32_MIN,   INT32_MIN + 1, -kBorder - 1, -kBorder,      -kBorder + 1,
                              kBorder - 1, kBorder,       kBorder + 1,  INT32_MAX - 1, INT32_MAX};
  std::vector<int32_t> thresholds(cols);
  for (int j = 0; j < cols; ++j) {
    if (draw.one_in(8)) {
      thresholds[j] = kFar[draw.below(static_cast<int>(std::size(kFar)))];
      continue;
    }
    thresholds[j] = dots[static_cast<size_t>(draw.below(rows)) * cols + j] + draw.below(3) - 1;
  }
  return thresholds;
}

}  // namespace shapes
