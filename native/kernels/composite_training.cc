// The forward and backward operators that autograd.cc asks a backend for, said in LibTorch's own: what devices without kernels
// compute in training.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "checks.h"
#include "composite.h"

namespace selm::composite {

std::tuple<at::Tensor, at::Tensor> rmsNormForward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  checkRmsNorm(x, weight);
  const at::Tensor wide = x.to(at::kFloat), inverse = (wide.square().mean(-1, true) + eps).rsqrt();
  return {(wide * inverse * weight.to(at::kFloat)).to(x.scalar_type()), inverse.flatten()};
}

std::tuple<at::Tensor, at::Tensor> rmsNormBackward(const at::Tensor& gradient, const at::Tensor& x,
                                                   const at::Tensor& weight, const at::Tensor& inverse) {
  std::vector<int64_t> rows = x.sizes().vec();
  rows.back() = 1;
  const at::Tensor scales = inverse.view(rows), normed = x.to(at::kFloat) * scales, dy = gradient.to(at::kFloat);
  const at::Tensor weighted = dy * weight.to(at::kFloat);
  const at::Tensor dx = scales * (weighted - normed * (weighted * normed).mean(-1, true));
  const at::Tensor dweight = (dy * normed).reshape({-1, x.size(-1)}).sum(0);
  return {dx.to(x.scalar_type()), dweight.to(weight.scalar_type())};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, double direction) {
  return rotary(x, cos, direction == 1 ? sin : sin * direction);
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, std::string_view activation) {
  return activation == "silu" ? swiglu(gate, up) : geglu(gate, up);
}

std::tuple<at::Tensor, at::Tensor> gatedBackward(const at::Tensor& gradient, const at::Tensor& gate,
                                                 const at::Tensor& up, std::string_view activation) {
  const at::Tensor dy = gradient.to(at::kFloat), wide = gate.to(at::kFloat), dgated = dy * up.to(at::kFloat);
  const bool isSilu = activation == "silu";
  const at::Tensor dgate = isSilu ? at::silu_backward(dgated, wide) : at::gelu_backward(dgated, wide, "tanh");
  const at::Tensor dup = dy * (isSilu ? at::silu(wide) : at::gelu(wide, "tanh"));
  return {dgate.to(gate.scalar_type()), dup.to(up.scalar_type())};
}

at::Tensor sumOfSquares(at::TensorList tensors) {
  return at::stack(at::_foreach_norm(tensors, 2, at::kFloat)).to(at::kDouble).square().sum();
}

namespace {

// One after the other, by the operators for one.
void addProducts_(at::TensorList sums, at::TensorList a, const at::Tensor& b) {
  static const auto add = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("selm::add_product_", "")
                              .typed<at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&)>();
  checkSums(sums, a);
  for (size_t i = 0; i < a.size(); i++) {
    at::Tensor sum = sums[i];
    add.call(sum, a[i], b);
  }
}

at::Tensor sumOfProducts(at::TensorList a, at::TensorList b) {
  static const auto multiply =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("selm::matrix_product", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&)>();
  checkProducts(a, b);
  at::Tensor sum = multiply.call(a[0], b[0], std::nullopt);
  for (size_t i = 1; i < a.size(); i++) sum.add_(multiply.call(a[i], b[i], std::nullopt));
  return sum;
}

}  // namespace

}  // namespace selm::composite

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  using namespace selm::composite;
  library.impl("rms_norm_forward", &rmsNormForward);
  library.impl("rms_norm_backward", &rmsNormBackward);
  library.impl("rotate", &rotate);
  library.impl("gated", &gated);
  library.impl("gated_backward", &gatedBackward);
  library.impl("sum_of_squares", &sumOfSquares);
  library.impl("add_products_", &addProducts_);
  library.impl("sum_of_products", &sumOfProducts);
}
