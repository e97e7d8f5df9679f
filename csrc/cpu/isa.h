// Instruction sets of the kernels, and detection of CPU support for them.
#pragma once

#include <string>
#include <vector>

namespace earbit {

// neon: supported by every 64-bit ARM.  dotprod: NEON with UDOT, since Cortex-A55 and Cortex-A76.
// avx512: with VPOPCNTDQ, BITALG, VBMI and VNNI, which come together since Ice Lake and Zen 4.
// On one architecture, later ones include earlier ones.
enum class Isa { scalar, neon, dotprod, avx2, avx512 };

const char* name_of(Isa isa);

// Whether this CPU and operating system support `isa`.
bool is_available(Isa isa);

// All available sets, the best last.
std::vector<Isa> available_isas();

// The set named by EARBIT_ISA (case-insensitive), else the best available set.  The variable is
// read at the first call only. Throws std::invalid_argument if the name is unknown or the CPU lacks
// the set.
Isa chosen_isa();

// The available set called `name`; throws std::invalid_argument that lists allowed names.
Isa isa_named(const std::string& name);

}  // namespace earbit
