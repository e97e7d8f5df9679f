// log_mel in 4 lanes.
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/log_mel.h"

namespace earbit {
namespace {

constexpr int kLanes = 4;
constexpr int kBinsAtOnce = 1;

#include "kernels/log_mel_loops.h"

}  // namespace

void log_mel_scalar(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames,
                    float* y, float* scratch) {
  log_mel(tables, x, stride, n_frames, y, scratch);
}

}  // namespace earbit
