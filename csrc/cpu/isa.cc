#include "cpu/isa.h"

#include <cstdlib>
#include <stdexcept>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace earbit {
namespace {

// Lower case of ASCII letters, independent of the locale.
std::string in_lower_case(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
  }
  return text;
}

// A user's text for a one-line message: truncated, in printable ASCII.
std::string excerpt(const std::string& name) {
  constexpr size_t kMost = 60;
  std::string excerpt = name.substr(0, kMost);
  for (char& letter : excerpt) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return name.size() > kMost ? excerpt + "..." : excerpt;
}

}  // namespace

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::neon:
      return "neon";
    case Isa::dotprod:
      return "dotprod";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

bool is_available(Isa isa) {
  if (isa == Isa::scalar) return true;
#if defined(__x86_64__)
  // The builtin checks CPUID, and with XGETBV whether the operating system saves the registers.
  __builtin_cpu_init();
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512) {
    // Early CPUs with VPOPCNTDQ lack the other extensions.
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vbmi");
  }
#elif defined(__aarch64__)
  if (isa == Isa::neon) return true;
#if defined(__linux__)
  if (isa == Isa::dotprod) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
#endif
  return false;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::scalar, Isa::neon, Isa::dotprod, Isa::avx2, Isa::avx512}) {
    if (is_available(isa)) isas.push_back(isa);
  }
  return isas;
}

Isa isa_named(const std::string& name) {
  std::string allowed;
  for (Isa isa : available_isas()) {
    if (name == name_of(isa)) return isa;
    allowed += std::string(allowed.empty() ? "" : ", ") + name_of(isa);
  }
  throw std::invalid_argument("instruction set '" + excerpt(name) +
                              "' is not available; this CPU has " + allowed);
}

Isa chosen_isa() {
  static const Isa isa = [] {
    const char* forced = std::getenv("EARBIT_ISA");
    if (forced != nullptr && *forced != '\0') return isa_named(in_lower_case(forced));
    return available_isas().back();
  }();
  return isa;
}

}  // namespace earbit
