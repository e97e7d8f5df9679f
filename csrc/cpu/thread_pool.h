// Splits work over threads.  Results do not depend on the number of threads: every index is
// computed by exactly one call, in the default floating-point environment.
#pragma once

#include <cstdint>
#include <functional>

namespace earbit {

// Calls body(begin, end) for ranges of at most `grain` indices that cover [0, n) once, on up to
// n_threads threads including the caller's.  Thread-safe, also after a fork.  If `body` throws,
// ranges that have not begun may be skipped; the first exception is rethrown after the last range.
void parallel_for(int64_t n, int64_t grain, int n_threads,
                  const std::function<void(int64_t, int64_t)>& body);

// Rows per range of `parallel_for` where a row takes little time.
constexpr int64_t kRowsPerRange = 64;

// Number of indices per range for `parallel_for`: at most `most`, a multiple of `multiple`, and
// chosen so that threads get equal numbers of ranges if possible.
int64_t even_grain(int64_t n, int64_t most, int64_t multiple, int n_threads);

}  // namespace earbit
