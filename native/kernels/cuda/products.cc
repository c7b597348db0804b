// What a GPU's library of products does better than what every device does (composite.cc). No header of CUDA is needed: these are
// LibTorch's operators.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "../checks.h"

namespace selm::cuda {
namespace {

// fp32 sums of bf16 factors are added up in fp32 where they lie: no product in bf16 is written, and none rounded.
at::Tensor& addProduct_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  checkSum(sum, a, b);
  if (sum.scalar_type() == a.scalar_type()) return sum.addmm_(a, b);
  return at::addmm_outf(sum, a, b, sum.scalar_type(), 1, 1, sum);
}

}  // namespace
}  // namespace selm::cuda

TORCH_LIBRARY_IMPL(selm, CUDA, library) { library.impl("add_product_", &selm::cuda::addProduct_); }
