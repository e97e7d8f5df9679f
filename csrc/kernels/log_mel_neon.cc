// log_mel in 4 lanes for NEON.  The compiler turns the shared loops into NEON, as in
// log_mel_scalar.cc.  Products of four bins at once do not wait for the sum.
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/log_mel.h"

namespace earbit {
namespace {

constexpr int kLanes = 4;
constexpr int kBinsAtOnce = 4;

#include "kernels/log_mel_loops.h"

}  // namespace

void log_mel_neon(const LogMelTables& tables, const float* x, ptrdiff_t stride, int n_frames,
                  float* y, float* scratch) {
  log_mel(tables, x, stride, n_frames, y, scratch);
}

}  // namespace earbit
