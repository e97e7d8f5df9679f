// Programs whose last op stands there many times over, each reading what the one before makes.
#pragma once

#include "fuzz/mutate.h"

// Puts copies of one op, with tensors of their own, behind the last op; what the last of them makes
// becomes the only output.  Does nothing to a program without ops.
void chain(Seed& seed, Random& random);
