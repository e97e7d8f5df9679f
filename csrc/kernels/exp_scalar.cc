#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/exp.h"

namespace earbit {
namespace {

constexpr int kVectorLanes = 4;
constexpr int kAtOnce = 1;

#include "kernels/exp_loops.h"

}  // namespace

extern const ExpKernels kExpScalar;
const ExpKernels kExpScalar = {"exp_scalar", Isa::scalar, silu,   gate,         most,
                               exp_below,    scores,      divide, weighted_sum, add_dots};

}  // namespace earbit
