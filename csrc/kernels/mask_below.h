// Lane mask for AVX-512 kernels, which include this in their anonymous namespaces.

// Mask of the lanes i, ..., i + 15 that are below n.
[[gnu::always_inline]] inline __mmask16 mask_below(int i, int n) {
  return static_cast<__mmask16>(n - i >= 16 ? 0xffff : (n > i ? (1u << (n - i)) - 1 : 0));
}
