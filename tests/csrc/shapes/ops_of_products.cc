// Products over windows of frames, which gemm_*, conv_* and depthwise_* are, against plain sums of
// the numbers that bits and codes stand for.
#include "shapes/operands.h"

namespace shapes {
namespace {

using earbit::CodeSet;
using earbit::Value;

struct Windows {
  int kernel;
  int stride;
  int pad_left;
  int pad_right;
  int rows;  // of the input

  int count() const { return (rows + pad_left + pad_right - kernel) / stride + 1; }

  void into(Parts& parts) const {
    parts.integer("kernel", kernel).integer("stride", stride);
    parts.integer("pad_left", pad_left).integer("pad_right", pad_right);
  }
};

Windows drawn_windows(Draw& draw, int most_kernel) {
  Windows windows{};
  windows.kernel = draw.one_in(2) ? 1 : draw.size(1, most_kernel);
  windows.stride = draw.one_in(2) ? 1 : draw.size(1, 5);
  windows.pad_left = draw.one_in(2) ? draw.below(windows.kernel) : 0;
  windows.pad_right = draw.one_in(2) ? draw.below(windows.kernel) : 0;
  const int least = windows.kernel - windows.pad_left - windows.pad_right;
  windows.rows = std::max(0, least) + draw.size(0, draw.one_in(8) ? 300 : 60);
  // An input of nothing but padding is allowed where that is a window, but one of no frames at all
  // needs padding.
  if (least > 0) windows.rows = std::max(windows.rows, least);
  return windows;
}

// What an input and weights are: groups of channels with their own outputs.
struct Channels {
  int groups;
  int in;   // of a group
  int out;  // of a group
};

Channels drawn_channels(Draw& draw, int most_in, int most_out) {
  const int groups = draw.one_in(4) ? draw.size(1, 5) : 1;
  return {groups, draw.size(1, most_in / groups), draw.size(1, most_out / groups)};
}

// Dots (frames, outputs); weights (outputs, kernel * channels of a group).
std::vector<int32_t> plain_dots(const Matrix& x, const Matrix& w, const Windows& windows,
                                const Channels& channels, int padding) {
  std::vector<int32_t> dots;
  for (int t = 0; t < windows.count(); ++t) {
    for (int j = 0; j < w.rows; ++j) {
      const int first = j / channels.out * channels.in;
      int64_t dot = 0;
      for (int k = 0; k < windows.kernel; ++k) {
        const int row = t * windows.stride + k - windows.pad_left;
        const bool is_frame = row >= 0 && row < x.rows;
        for (int c = 0; c < channels.in; ++c) {
          dot += (is_frame ? x.at(row, first + c) : padding) * w.at(j, k * channels.in + c);
        }
      }
      dots.push_back(static_cast<int32_t>(dot));
    }
  }
  return dots;
}

std::string shape(const std::string& name, const Windows& windows, const Channels& channels,
                  const Parts& parts) {
  return name + " of " + std::to_string(windows.rows) + " frames, " +
         std::to_string(channels.groups) + " x " + std::to_string(channels.in) + " channels to " +
         std::to_string(channels.out) + ":" + parts.text();
}

std::string name_of(const std::string& kind, const Windows& windows) {
  return (windows.kernel == 1 ? "gemm_" : "conv_") + kind;
}

// Dots as they are.
void as_floats(Parts& parts, int n_out) {
  parts.floats("scale", std::vector<float>(n_out, 1.0f));
  parts.floats("bias", std::vector<float>(n_out, 0.0f));
}

// Weights (outputs, n) as bytes: the codes of an output lie 8 / bits to a byte.
std::vector<uint8_t> packed_codes(const Matrix& w, const CodeSet& set) {
  const int per_byte = 8 / set.bits;
  const int n_bytes = (w.cols + per_byte - 1) / per_byte;
  std::vector<uint8_t> bytes(static_cast<size_t>(w.rows) * n_bytes);
  for (int j = 0; j < w.rows; ++j) {
    uint8_t* row = bytes.data() + static_cast<ptrdiff_t>(j) * n_bytes;
    for (int k = 0; k < w.cols; ++k) {
      const int u = (w.at(j, k) - set.low()) / set.step();
      row[k / per_byte] |= static_cast<uint8_t>(u << (k % per_byte * set.bits));
    }
  }
  return bytes;
}

// Runs an op on codes and holds its floats, with scale 1 and bias 0, against the dots.
void try_on_codes(const std::string& name, const Windows& windows, const Channels& channels,
                  Parts& parts, const Matrix& x, const CodeSet& set,
                  const std::vector<int32_t>& dots, Digest& digest) {
  const std::string what = shape(name, windows, channels, parts) + ", " +
                           (set.is_unsigned ? "unsigned " : "signed ") + std::to_string(set.bits) +
                           "-bit codes";
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {codes_value(*memory, x, set)};
  const Value y = run_on_threads(parts.op(name, inputs), inputs, what);
  compare_dots(y, dots, {}, what);
  digest.add(dots);
}

}  // namespace

void try_gemm_b1_op(Draw& draw, Digest& digest) {
  const Windows windows = drawn_windows(draw, 9);
  const Channels channels = drawn_channels(draw, draw.one_in(30) ? 4000 : 200, 150);
  const CodeSet set{1, draw.one_in(2)};
  const int n_out = channels.groups * channels.out;
  const Matrix x = drawn(draw, windows.rows, channels.groups * channels.in, set);
  const Matrix w = drawn(draw, n_out, windows.kernel * channels.in, {1, false});
  const std::vector<int32_t> dots = plain_dots(x, w, windows, channels, set.value(set.padding()));
  Parts parts;
  windows.into(parts);
  parts.integer("groups", channels.groups).integer("unsigned", set.is_unsigned);
  parts.words("weight", n_out, packed_bits(w, channels.in));
  int out_groups = 1;
  std::vector<int32_t> thresholds;
  if (channels.groups == 1 && draw.one_in(2)) {
    thresholds = drawn_thresholds(draw, dots, n_out);
    parts.i32("threshold", thresholds);
    const int wanted = draw.size(1, 6);
    if (n_out % wanted == 0) out_groups = wanted;
  } else {
    as_floats(parts, n_out);
  }
  parts.integer("out_groups", out_groups);
  const std::string name = name_of("b1", windows);
  const std::string what = shape(name, windows, channels, parts);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {bits_value(*memory, x, channels.groups)};
  const Value y = run_on_threads(parts.op(name, inputs), inputs, what);
  compare_dots(y, dots, thresholds, what);
  digest.add(dots);
}

void try_gemm_i8_op(Draw& draw, Digest& digest) {
  const CodeSet set{1 + draw.below(8), draw.one_in(2)};
  const CodeSet of_weights{1 << draw.below(4), false};
  Windows windows = drawn_windows(draw, 9);
  Channels channels = drawn_channels(draw, 200, 80);
  const bool is_deep = draw.one_in(50);
  if (is_deep) {
    // A row as deep as the loader allows.
    windows = {1, 1, 0, 0, 1 + draw.below(2)};
    const int64_t largest = int64_t{set.step()} * set.largest() * of_weights.limit();
    channels = {1, static_cast<int>(std::min<int64_t>(INT32_MAX / largest, 200000)),
                1 + draw.below(2)};
  }
  const int n_out = channels.groups * channels.out;
  Matrix x = drawn(draw, windows.rows, channels.groups * channels.in, set);
  Matrix w = drawn(draw, n_out, windows.kernel * channels.in, of_weights);
  if (is_deep && draw.one_in(2)) {
    std::fill(x.numbers.begin(), x.numbers.end(), static_cast<int16_t>(set.value(set.largest())));
    std::fill(w.numbers.begin(), w.numbers.end(), static_cast<int16_t>(of_weights.low()));
  }
  const std::vector<int32_t> dots = plain_dots(x, w, windows, channels, set.value(set.padding()));
  Parts parts;
  windows.into(parts);
  parts.integer("groups", channels.groups).integer("weight_bits", of_weights.bits);
  parts.bytes("weight", n_out, packed_codes(w, of_weights));
  as_floats(parts, n_out);
  try_on_codes(name_of("i8", windows), windows, channels, parts, x, set, dots, digest);
}

void try_gemm_planes_op(Draw& draw, Digest& digest) {
  const CodeSet set{2 + draw.below(7), draw.one_in(2)};
  Windows windows = drawn_windows(draw, 9);
  Channels channels = drawn_channels(draw, 200, 80);
  if (draw.one_in(50)) {
    windows = {1, 1, 0, 0, 1};
    // The deepest row of 8-bit codes has 8,421,504; more than 2^24 are never allowed.
    const int64_t most = std::min<int64_t>(INT32_MAX / set.largest(), int64_t{1} << 24);
    channels = {1, static_cast<int>(draw.one_in(20) ? most : 1 << 16), 1};
  }
  const int n_out = channels.groups * channels.out;
  const Matrix x = drawn(draw, windows.rows, channels.groups * channels.in, set);
  const Matrix w = drawn(draw, n_out, windows.kernel * channels.in, {1, false});
  const std::vector<int32_t> dots = plain_dots(x, w, windows, channels, set.value(set.padding()));
  Parts parts;
  windows.into(parts);
  parts.integer("groups", channels.groups);
  parts.words("weight", n_out, packed_bits(w, channels.in));
  as_floats(parts, n_out);
  try_on_codes(name_of("planes", windows), windows, channels, parts, x, set, dots, digest);
}

void try_depthwise_b1_op(Draw& draw, Digest& digest) {
  const Windows windows = drawn_windows(draw, 140);
  const CodeSet set{1, draw.one_in(2)};
  // Every channel is a group of one input and one output.
  const Channels channels = {draw.size(1, 80), 1, 1};
  const int n = channels.groups;
  const Matrix x = drawn(draw, windows.rows, n, set);
  const Matrix w = drawn(draw, n, windows.kernel, {1, false});
  const std::vector<int32_t> dots = plain_dots(x, w, windows, channels, set.value(set.padding()));
  Parts parts;
  windows.into(parts);
  parts.integer("unsigned", set.is_unsigned).words("weight", n, packed_bits(w, windows.kernel));
  std::vector<int32_t> thresholds;
  if (draw.one_in(2)) {
    thresholds = drawn_thresholds(draw, dots, n);
    parts.i32("threshold", thresholds);
  } else {
    as_floats(parts, n);
  }
  const std::string what = shape("depthwise_b1", windows, channels, parts);
  const auto memory = std::make_shared<earbit::Memory>();
  const std::vector<Value> inputs = {bits_value(*memory, x, 1)};
  const Value y = run_on_threads(parts.op("depthwise_b1", inputs), inputs, what);
  compare_dots(y, dots, thresholds, what);
  digest.add(dots);
}

void try_depthwise_i8_op(Draw& draw, Digest& digest) {
  const CodeSet set{1 + draw.below(8), draw.one_in(2)};
  const CodeSet of_weights{1 << draw.below(4), false};
  Windows windows = drawn_windows(draw, 140);
  Channels channels = {draw.size(1, 80), 1, 1};
  const bool is_long = draw.one_in(50);
  if (is_long) {
    // A window as long as the loader allows, or nearly so.
    const int64_t largest = int64_t{set.step()} * set.largest() * of_weights.limit();
    const auto kernel = static_cast<int>(std::min<int64_t>(INT32_MAX / largest, 200000));
    const int pad = draw.below(3);
    windows = {kernel, 1, pad, 0, kernel - pad + draw.below(3)};
    channels.groups = 1 + draw.below(2);
  }
  const int n = channels.groups;
  Matrix x = drawn(draw, windows.rows, n, set);
  Matrix w = drawn(draw, n, windows.kernel, of_weights);
  if (is_long && draw.one_in(2)) {
    std::fill(x.numbers.begin(), x.numbers.end(), static_cast<int16_t>(set.value(set.largest())));
    std::fill(w.numbers.begin(), w.numbers.end(), static_cast<int16_t>(of_weights.low()));
  }
  const std::vector<int32_t> dots = plain_dots(x, w, windows, channels, set.value(set.padding()));
  Parts parts;
  windows.into(parts);
  parts.integer("weight_bits", of_weights.bits).bytes("weight", n, packed_codes(w, of_weights));
  as_floats(parts, n);
  try_on_codes("depthwise_i8", windows, channels, parts, x, set, dots, digest);
}

}  // namespace shapes
