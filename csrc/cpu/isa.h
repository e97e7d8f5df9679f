// Instruction sets of the kernels, and detection of CPU support for them.
#pragma once

#include <string>
#include <vector>

namespace earbit {

// neon: what every 64-bit ARM has.  dotprod: NEON with UDOT, since Cortex-A55 and Cortex-A76.
// avx512: with VPOPCNTDQ, BITALG, VBMI and VNNI, which come together since Ice Lake and Zen 4.
// On one architecture, later ones include earlier ones.
enum class Isa { scalar, neon, dotprod, avx2, avx512 };

const char* name_of(Isa isa);

// Whether this CPU and this operating system run kernels of `isa`.
bool is_available(Isa isa);

// All available sets, best last.
std::vector<Isa> available_isas();

// The best available set, or the one that EARBIT_ISA names, in letters of any case.  Read once, at
// the first call.
// Throws std::invalid_argument when the name is unknown or the CPU lacks the set.
Isa chosen_isa();

// The available set called `name`; throws std::invalid_argument that lists what is allowed.
Isa isa_named(const std::string& name);

}  // namespace earbit
