// Tensors as kernels read them. In a pass of a few tokens, an operator that changes nothing costs more than asking whether it would.
#pragma once
#include <ATen/ATen.h>

namespace selm {

inline at::Tensor firstRows(const at::Tensor& x, int64_t rows) { return x.size(0) == rows ? x : x.narrow(0, 0, rows); }

inline at::Tensor contiguousFloats(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat && x.is_contiguous() ? x : x.to(at::kFloat).contiguous();
}

}  // namespace selm
