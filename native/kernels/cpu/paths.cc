#include "paths.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace selm {

#if defined(__x86_64__)
namespace {

struct Features {
  bool amxBf16 = false, avx512Bf16 = false;
};

Features readFeatures() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  Features found;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__get_cpuid_count(7, 0, &a, &b, &c, &d))
    return found;
  constexpr unsigned kTiles = 1u << 24 | 1u << 22;  // AMX-TILE and AMX-BF16
  const bool hasTiles = (d & kTiles) == kTiles;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avx512Bf16 = (a & 1u << 5) != 0;
  // Linux gives the tiles' registers only to a process that asks for them.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  found.amxBf16 = hasTiles && found.avx512Bf16 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return found;
}

}  // namespace

bool canRun(Bf16Path path) {
  static const Features features = readFeatures();
  switch (path) {
    case Bf16Path::amx:
      return features.amxBf16;
    case Bf16Path::avx512Bf16:
      return features.avx512Bf16;
    case Bf16Path::vector:
      return true;
  }
  return false;
}
#else
bool canRun(Bf16Path path) { return path == Bf16Path::vector; }
#endif

}  // namespace selm
