// Codes and weights in fours for dot products of bytes.  Kernels of gemm_i8 include it in their
// anonymous namespaces.

// The next up to four codes of a row, the first in the lowest byte; others are zeros.
inline int32_t codes_at(const uint8_t* a, size_t n_codes) {
  int32_t codes = 0;
  std::memcpy(&codes, a, n_codes);
  return codes;
}

// A panel of kCols outputs: per four k, the four weights of every output, adjacent.
template <int kCols>
void pack_fours(const int8_t* w, ptrdiff_t stride, int n_cols, int n_k, uint8_t* panel) {
  for (int first = 0; first < n_k; first += 4) {
    for (int j = 0; j < kCols; ++j) {
      for (int k = first; k < first + 4; ++k) {
        *panel++ = static_cast<uint8_t>(j < n_cols && k < n_k ? w[j * stride + k] : 0);
      }
    }
  }
}
