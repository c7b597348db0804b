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

// Each product is added to those before it while it is computed: none is written and read again.
at::Tensor sumOfProducts(at::TensorList a, at::TensorList b) {
  checkProducts(a, b);
  at::Tensor sum = at::mm(a[0], b[0]);
  for (size_t i = 1; i < a.size(); i++) sum.addmm_(a[i], b[i]);
  return sum;
}

}  // namespace
}  // namespace selm::cuda

TORCH_LIBRARY_IMPL(selm, CUDA, library) {
  library.impl("add_product_", &selm::cuda::addProduct_);
  library.impl("sum_of_products", &selm::cuda::sumOfProducts);
}
