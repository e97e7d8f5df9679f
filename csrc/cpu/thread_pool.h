// Splits work over threads.  Results do not depend on the number of threads: every index is
// computed by exactly one call, in the default floating-point environment.
#pragma once

#include <cstdint>
#include <functional>

namespace earbit {

// Calls body(begin, end) over ranges that cover [0, n) once, of at most `grain` indices each, on up
// to n_threads threads, the caller's included.  Several callers may be here at once, also after a
// fork.  When `body` throws, ranges that have not begun may still run or not; once none runs, the
// first exception is rethrown here.
void parallel_for(int64_t n, int64_t grain, int n_threads,
                  const std::function<void(int64_t, int64_t)>& body);

// How many of n indices make a range for `parallel_for`: at most `most`, a multiple of `multiple`,
// and such that every thread gets as many ranges as the others, as far as that goes.
int64_t even_grain(int64_t n, int64_t most, int64_t multiple, int n_threads);

}  // namespace earbit
