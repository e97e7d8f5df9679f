// The kernels and ops that random shapes are drawn for.  Each family tries one shape of the draw:
// it throws Wrong, which says what is wrong and at which shape, or adds the right results to the
// digest, as every machine must find them.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "shapes/draw.h"

namespace shapes {

struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// FNV-1a of all results so far.
class Digest {
 public:
  template <typename T>
  void add(const std::vector<T>& results) {
    for (const T& result : results) {
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &result, sizeof(T));
      for (unsigned char byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3u;
    }
  }

  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

// kernels_of_products.cc and kernels_along_time.cc: every instruction set that this CPU has.
void try_gemm_b1(Draw& draw, Digest& digest);
void try_gemm_i8(Draw& draw, Digest& digest);
void try_depthwise_b1(Draw& draw, Digest& digest);
void try_softmax_b1(Draw& draw, Digest& digest);

// ops_of_products.cc and op_*.cc: the chosen instruction set, on 1, 2, 3 and 7 threads.
void try_gemm_b1_op(Draw& draw, Digest& digest);
void try_gemm_i8_op(Draw& draw, Digest& digest);
void try_gemm_planes_op(Draw& draw, Digest& digest);
void try_depthwise_b1_op(Draw& draw, Digest& digest);
void try_depthwise_i8_op(Draw& draw, Digest& digest);
void try_attention_b1_op(Draw& draw, Digest& digest);
void try_attention_i8_op(Draw& draw, Digest& digest);
void try_relative_attention_i8_op(Draw& draw, Digest& digest);
void try_log_mel_op(Draw& draw, Digest& digest);

}  // namespace shapes
