#include "kernels/softmax_b1.h"

#include "bits/layout.h"
#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, name)                                                            \
  void name(const ShareTable& table, const QueriesB1& queries, const uint64_t* keys, \
            uint16_t* counts, uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones);
#include "kernels/softmax_b1.def"
#undef KERNEL

const std::vector<SoftmaxB1Kernel>& softmax_b1_kernels() {
  static const std::vector<SoftmaxB1Kernel> kernels = {
#define KERNEL(isa, name) {#name, Isa::isa, name},
#include "kernels/softmax_b1.def"
#undef KERNEL
  };
  return kernels;
}

const SoftmaxB1Kernel& softmax_b1_kernel(Isa isa) { return best_of(softmax_b1_kernels(), isa); }

KeysB1::KeysB1(const uint64_t* keys, int64_t n_keys, int n_words) : n_words_(n_words) {
  // Kernels read whole words of bits, which are two blocks.
  const int64_t n_padded = words_for(n_keys) * kWordBits;
  words_.resize(static_cast<size_t>(n_padded) * n_words);
  for (int64_t j = 0; j < n_keys; ++j) {
    const auto place = static_cast<int>(j % kKeyBlock);
    uint64_t* block = words_.data() + j / kKeyBlock * kKeyBlock * n_words;
    for (int w = 0; w < n_words; ++w) {
      block[w * kKeyBlock + place % 4 * 8 + place / 4] = keys[j * n_words + w];
    }
  }
}

}  // namespace earbit
