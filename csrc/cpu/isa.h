// Instruction sets of the kernels, and detection of CPU support for them.
#pragma once

#include <string>
#include <vector>

namespace earbit {

// From the least to the best of each architecture.
// neon: supported by every 64-bit ARM.  dotprod: NEON with UDOT, since Cortex-A55 and Cortex-A76.
// avx2: with FMA.  avxvnni: AVX2 with AVX-VNNI, since Alder Lake and Zen 5.
// avx512bw: F, DQ, BW and VL, since Skylake-X.
// avx512: with VPOPCNTDQ, BITALG, VBMI and VNNI too, which come together since Ice Lake and Zen 4.
enum class Isa { scalar, neon, dotprod, avx2, avxvnni, avx512bw, avx512 };

const char* name_of(Isa isa);

// Whether every CPU of one architecture that supports `isa` supports `other`: all earlier ones, but
// avxvnni, a branch of its own, because many CPUs with AVX-512 lack it.  So a set means the same
// kernels on every CPU.
bool includes(Isa isa, Isa other);

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
