// dot[c] = kernel - 2 popcount(window[c] xor w[c]), or 2 popcount(window[c] and w[c]) -
// popcount(window[c]), in plain arithmetic on 64-bit words.  This is the reference.
#include "bits/layout.h"
#include "kernels/depthwise_b1.h"

namespace earbit {

void depthwise_b1_scalar(const uint64_t* x, const uint64_t* w, int n_channels, int kernel,
                         int shift, bool is_unsigned, int32_t* dot) {
  for (int c = 0; c < n_channels; ++c) dot[c] = is_unsigned ? 0 : kernel;
  for (int left = kernel; left > 0; left -= kWordBits, x += n_channels, w += n_channels) {
    const uint64_t mask = left < kWordBits ? (uint64_t{1} << left) - 1 : ~uint64_t{0};
    for (int c = 0; c < n_channels; ++c) {
      // Two shifts, because a shift by 64 is undefined.
      const uint64_t window = (x[c] >> shift | x[n_channels + c] << 1 << (63 - shift)) & mask;
      dot[c] += is_unsigned ? 2 * popcount(window & w[c]) - popcount(window)
                            : -2 * popcount(window ^ w[c]);
    }
  }
}

}  // namespace earbit
