// What the operators of this folder share: sizes of blocks, and layouts that the kernels read.
#pragma once
#include <ATen/ATen.h>

namespace selm::cuda {

constexpr int kThreads = 256;        // of a block
constexpr int64_t kPackNumbers = 4;  // that a thread reads at once

inline int64_t blocksFor(int64_t count, int64_t each) { return (count + each - 1) / each; }

// x [T, H, d] with the numbers of a token's heads together.
inline at::Tensor withHeadsTogether(const at::Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

}  // namespace selm::cuda
