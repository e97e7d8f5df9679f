#include "cpu/isa.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
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

#if defined(__x86_64__)
// Extensions of an x86 CPU whose registers the operating system saves.  Read here, because
// __builtin_cpu_supports needs a runtime library that not every compiler brings.
struct X86 {
  bool avx2 = false;
  bool avxvnni = false;
  bool avx512bw = false;
  bool avx512 = false;
};

X86 x86_of_this_cpu() {
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return {};
  constexpr uint32_t kFma = 1u << 12, kPopcnt = 1u << 23, kOsxsave = 1u << 27;
  constexpr uint32_t kBasic = kFma | kPopcnt | kOsxsave;
  if ((c & kBasic) != kBasic) return {};
  uint32_t saved, high;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  constexpr uint32_t kSavesAvx = 0x6, kSavesAvx512 = 0xe6;
  constexpr uint32_t kAvx2 = 1u << 5;
  // F, DQ, BW and VL in ebx; VBMI, VNNI, BITALG and VPOPCNTDQ in ecx.  Early CPUs with VPOPCNTDQ
  // lack some, and Cascade Lake has VNNI alone.
  constexpr uint32_t kAvx512B = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  constexpr uint32_t kAvx512C = 1u << 1 | 1u << 11 | 1u << 12 | 1u << 14;
  X86 found;
  found.avx2 = (saved & kSavesAvx) == kSavesAvx && (b & kAvx2) != 0;
  found.avx512bw =
      found.avx2 && (saved & kSavesAvx512) == kSavesAvx512 && (b & kAvx512B) == kAvx512B;
  found.avx512 = found.avx512bw && (c & kAvx512C) == kAvx512C;
#if defined(EARBIT_AVXVNNI)
  // Leaf 7 has a second part.
  constexpr uint32_t kAvxVnni = 1u << 4;
  if (found.avx2 && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
    found.avxvnni = (a & kAvxVnni) != 0;
  }
#endif
  return found;
}
#endif

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
    case Isa::avxvnni:
      return "avxvnni";
    case Isa::avx512bw:
      return "avx512bw";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

bool includes(Isa isa, Isa other) {
  return other <= isa && (other != Isa::avxvnni || isa == Isa::avxvnni);
}

bool is_available(Isa isa) {
  if (isa == Isa::scalar) return true;
#if defined(__x86_64__)
  static const X86 x86 = x86_of_this_cpu();
  if (isa == Isa::avx2) return x86.avx2;
  if (isa == Isa::avxvnni) return x86.avxvnni;
  if (isa == Isa::avx512bw) return x86.avx512bw;
  if (isa == Isa::avx512) return x86.avx512;
#elif defined(__aarch64__)
  if (isa == Isa::neon) return true;
#if defined(__linux__)
  if (isa == Isa::dotprod) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  if (isa == Isa::dotprod) return true;  // every Mac with an ARM CPU has it
#endif
#endif
  return false;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::scalar, Isa::neon, Isa::dotprod, Isa::avx2, Isa::avxvnni, Isa::avx512bw,
                  Isa::avx512}) {
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
