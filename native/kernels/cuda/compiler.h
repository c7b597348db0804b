// Our kernels for NVIDIA cards. They are written in CUDA C++ (*.cu of this folder, which the build puts into the addon as text) and are
// compiled for the card that is there, when the first of them is called, by NVRTC: LibTorch's CUDA half brings it. So neither a CUDA
// toolkit nor its headers are needed, to build selm or to run it.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace selm::cuda {

// The text of a file of kernels. cuda_sources.h, which the build writes, has them all.
struct Source {
  const char* name;
  const char* text;
};

struct Grid {
  int64_t blocks;
  int threads;
  int64_t blocksY = 1;  // 65,535 at most, by CUDA's rules; of `blocks` there may be 2^31 - 1
  int sharedBytes = 0;  // beside what the kernel declares itself
};

// Kernels of a source for one set of definitions ("X=bf16"), on the device of `on`.
class Program {
 public:
  Program(const Source& source, std::vector<std::string> definitions, const at::Tensor& on);

  // Starts a kernel on LibTorch's stream. Arguments are passed as they are, so they must have the types of the kernel's parameters.
  template <typename... Arguments>
  void run(const char* kernel, const Grid& grid, Arguments... arguments) const {
    void* pointers[] = {static_cast<void*>(&arguments)...};
    start(kernel, grid, pointers);
  }

 private:
  void start(const char* kernel, const Grid& grid, void** arguments) const;
  at::Device device_;
  void* module_;
};

// "X=float" or "X=bf16": how a source names a tensor's type.
std::string definition(const char* name, at::ScalarType type);

// Whether a source names the type.
inline bool hasType(const at::Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

}  // namespace selm::cuda
