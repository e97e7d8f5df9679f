// Rows of a stream come out as they went in, a long backlog is read one by one in a time that grows
// with its length, and its memory is given back.
#include "capi/unread_rows.h"

#include <cstdio>
#include <memory>
#include <vector>

#include "fuzz/limited_memory.h"
#include "graph/memory.h"

namespace {

using namespace earbit;

constexpr int kWidth = 3;
constexpr int64_t kAdded = 1000;
constexpr int64_t kBacklog = int64_t{1} << 20;
constexpr size_t kBytes = kBacklog * kWidth * sizeof(float);

// kAdded rows that count on from `first`.
Value rows_from(Memory& memory, int64_t first) {
  Value value = Value::make(memory, Type::floats(kWidth), kAdded);
  for (int64_t i = 0; i < kAdded * kWidth; ++i) {
    value.floats[i] = static_cast<float>((first * kWidth + i) % 9973);
  }
  return value;
}

// Adds and reads in turn, each time up to n_most rows; how many were wrong.
int64_t n_wrong(Memory& memory, UnreadRows& rows, int64_t n_most) {
  std::vector<float> out(n_most * kWidth);
  int64_t n_added = 0;
  int64_t n_read = 0;
  int64_t wrong = 0;
  while (n_read < kBacklog) {
    if (n_added < kBacklog && (n_most == 1 || rows.rows() < n_most)) {
      rows.add(rows_from(memory, n_added), kAdded);
      n_added += kAdded;
      if (n_most == 1) continue;  // the whole backlog first
    }
    const int64_t n = rows.read(out.data(), n_most);
    for (int64_t i = 0; i < n * kWidth; ++i) {
      if (out[i] != static_cast<float>((n_read * kWidth + i) % 9973)) ++wrong;
    }
    n_read += n;
  }
  rows.clear();
  return wrong;
}

}  // namespace

int main() {
  const auto memory = std::make_shared<Memory>();
  UnreadRows rows(kWidth);
  const int64_t wrong = n_wrong(*memory, rows, 1) + n_wrong(*memory, rows, 700);
  for (int64_t n = 0; n < kBacklog; n += kAdded) rows.add(rows_from(*memory, n), kAdded);
  std::vector<float> all(kBacklog * kWidth * 2);
  const LimitedMemory little(kBytes / 2);
  rows.read(all.data(), 2 * kBacklog);
  const std::vector<char> room(kBytes);  // throws unless what was read is given back
  std::printf("%lld wrong\n", static_cast<long long>(wrong));
  return 0;
}
