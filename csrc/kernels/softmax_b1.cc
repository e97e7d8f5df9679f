#include "kernels/softmax_b1.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bits/layout.h"
#include "bits/transpose.h"
#include "kernels/best_of.h"

namespace earbit {

#define KERNEL(isa, name)                                                                     \
  void name(const ExpTable& table, const QueriesB1& queries, const uint8_t* keys, void* room, \
            uint64_t* bits, ptrdiff_t bits_stride, int32_t* ones);
#include "kernels/softmax_b1.def"
#undef KERNEL

const std::vector<SoftmaxB1Kernel>& softmax_b1_kernels() {
  // Never destroyed: a thread may still compute while the process exits.
  static const auto& kernels = *new std::vector<SoftmaxB1Kernel>{
#define KERNEL(isa, name) {#name, Isa::isa, name},
#include "kernels/softmax_b1.def"
#undef KERNEL
  };
  return kernels;
}

const SoftmaxB1Kernel& softmax_b1_kernel(Isa isa) { return best_of(softmax_b1_kernels(), isa); }

ExpWeights::ExpWeights(std::vector<float> exp)
    : exp_(std::move(exp)),
      fixed_(std::max<size_t>(exp_.size() + 1, kFixedWeights), 0),
      bytes_(sizeof(uint32_t) * kByteWeights) {
  for (size_t k = 0; k < exp_.size(); ++k) {
    fixed_[k] = static_cast<uint32_t>(std::nearbyint(static_cast<double>(exp_[k]) * 0x1p31));
  }
  for (size_t i = 0; i < bytes_.size(); ++i) {
    bytes_[i] = static_cast<uint8_t>(fixed_[i % kByteWeights] >> (i / kByteWeights * 8));
  }
}

static_assert(kKeyBlock == kWordBits);

KeysB1::KeysB1(const uint64_t* keys, int64_t n_keys, int n_words)
    : n_words_(n_words), bytes_(static_cast<size_t>(words_for(n_keys)) * kKeyBlock * n_words * 8) {
  const int n_bytes = 8 * n_words;
  const auto* from = reinterpret_cast<const uint8_t*>(keys);
  for (int64_t j = 0; j < n_keys; j += kKeyBlock) {
    transpose_bytes(from + j * n_bytes, n_bytes,
                    static_cast<int>(std::min<int64_t>(kKeyBlock, n_keys - j)), n_bytes,
                    bytes_.data() + j * n_bytes, kKeyBlock);
  }
}

}  // namespace earbit
