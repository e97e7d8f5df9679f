// Functions of exp.h for NEON.  The compiler turns the shared loops into NEON, as in exp_scalar.cc.
// Four vectors at once, because a vector waits for each of its own 25 steps.
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/exp.h"

namespace earbit {
namespace {

constexpr int kVectorLanes = 4;
constexpr int kAtOnce = 4;

#include "kernels/exp_loops.h"

}  // namespace

extern const ExpKernels kExpNeon;
const ExpKernels kExpNeon = {"exp_neon", Isa::neon, silu,   gate,         most,
                             exp_below,  scores,    divide, weighted_sum, add_dots};

}  // namespace earbit
