// Products per second of the kernels of this CPU where all operands are in L1: the most that an op
// can reach on one core.
#pragma once

namespace earbit {

struct Ceilings {
  double f32;
  double i8;
  double b1;
};

// Takes some milliseconds.
Ceilings measured_ceilings();

}  // namespace earbit
