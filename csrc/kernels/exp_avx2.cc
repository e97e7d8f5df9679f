#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/exp.h"

namespace earbit {
namespace {

constexpr int kVectorLanes = 8;
constexpr int kAtOnce = 1;

#include "kernels/exp_loops.h"

}  // namespace

extern const ExpKernels kExpAvx2;
const ExpKernels kExpAvx2 = {"exp_avx2", Isa::avx2, silu,   gate,         most,
                             exp_below,  scores,    divide, weighted_sum, add_dots};

}  // namespace earbit
