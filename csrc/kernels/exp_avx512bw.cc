#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/exp.h"

namespace earbit {
namespace {

constexpr int kVectorLanes = 16;
constexpr int kAtOnce = 1;

#include "kernels/exp_loops.h"

}  // namespace

extern const ExpKernels kExpAvx512bw;
const ExpKernels kExpAvx512bw = {"exp_avx512bw", Isa::avx512bw, silu,   gate,         most,
                                 exp_below,      scores,        divide, weighted_sum, add_dots};

}  // namespace earbit
