// Which kernels the CPU has.
#pragma once
#include <cstdlib>
#include <string_view>

namespace selm {

// SELM_KERNELS=composed leaves the CPU's own kernels out, so that a machine without a GPU runs what a device without
// kernels runs (docs/gpu.md). Read when the addon is loaded.
inline bool hasCpuKernels() {
  const char* kernels = std::getenv("SELM_KERNELS");
  return kernels == nullptr || std::string_view(kernels) != "composed";
}

}  // namespace selm
