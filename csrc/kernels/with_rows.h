// Dispatches a number of rows to code unrolled for it.  Kernels include this in their anonymous
// namespaces.

// Calls run(a sequence of n_rows integers) for 1 to kMost rows.
template <int kMost, typename Run>
[[gnu::always_inline]] inline void with_rows(int n_rows, Run&& run) {
  if (n_rows == kMost) {
    run(std::make_integer_sequence<int, kMost>());
  } else if constexpr (kMost > 1) {
    with_rows<kMost - 1>(n_rows, run);
  }
}
