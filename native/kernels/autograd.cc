// Gradients of our operators, whatever the device: each is computed by the forward and backward operators of the backend that
// its tensors lie on: the CPU's kernels, or what composite_training.cc and flash_trees.cc say in LibTorch's operators.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <vector>

#include "checks.h"
#include "composite.h"

namespace selm {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

template <typename Signature>
auto operatorOf(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// Kernels are written for these types; others go by LibTorch's operators, so that a result never depends on a shape.
bool hasKernel(const Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

struct RmsNorm : Function<RmsNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, double eps) {
    static const auto norm =
        operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, double)>("selm::rms_norm_forward");
    auto [y, inverse] = norm.call(x, weight, eps);
    context->save_for_backward({x, weight, inverse});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    static const auto derive =
        operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&)>(
            "selm::rms_norm_backward");
    auto [dx, dweight] = derive.call(gradients[0], saved[0], saved[1], saved[2]);
    return {dx, dweight, Tensor()};
  }
};

Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin, double direction) {
  static const auto turn = operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, double)>("selm::rotate");
  return turn.call(x, cos, sin, direction);
}

struct Rotary : Function<Rotary> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& cos, const Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1.0);
  }
  // The gradient of a rotation is the opposite rotation.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], saved[1], -1.0), Tensor(), Tensor()};
  }
};

struct Gate : Function<Gate> {
  static Tensor forward(AutogradContext* context, const Tensor& gate, const Tensor& up, const std::string& activation) {
    context->save_for_backward({gate, up});
    context->saved_data["activation"] = activation;
    static const auto gated = operatorOf<Tensor(const Tensor&, const Tensor&, c10::string_view)>("selm::gated");
    return gated.call(gate, up, activation);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const std::string activation = context->saved_data["activation"].toStringRef();
    static const auto derive =
        operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, c10::string_view)>(
            "selm::gated_backward");
    auto [dgate, dup] = derive.call(gradients[0], saved[0], saved[1], activation);
    return {dgate, dup, Tensor()};
  }
};

Tensor matrixProduct(const Tensor& a, const Tensor& b, const std::optional<Tensor>& bias = std::nullopt) {
  static const auto multiply =
      operatorOf<Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&)>("selm::matrix_product");
  return multiply.call(a, b, bias);
}
void addProduct(Tensor sum, const Tensor& a, const Tensor& b) {
  static const auto add = operatorOf<Tensor&(Tensor&, const Tensor&, const Tensor&)>("selm::add_product_");
  add.call(sum, a, b);
}

// [.., O] as rows [T, O], and back.
Tensor asRows(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }
Tensor shapedAs(const Tensor& rows, const Tensor& x) {
  if (x.dim() == 2) return rows;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = rows.size(1);
  return rows.view(shape);
}

// The gradient of a master that has one already is added to it where it lies: neither a tensor of its own nor another pass over
// memory.
struct Linear : Function<Linear> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& master, const Tensor& compute,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({x, compute, master});
    context->saved_data["bias"] = bias.has_value() && bias->defined() && bias->requires_grad();
    return shapedAs(matrixProduct(asRows(x), compute.t(), bias), x);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &compute = saved[1], &master = saved[2];
    const Tensor dy = asRows(gradients[0].contiguous());
    Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = shapedAs(matrixProduct(dy, compute), x);
    if (master.requires_grad()) {
      if (master.is_leaf() && master.grad().defined()) {
        addProduct(master.grad(), dy.t(), asRows(x));
      } else {
        dw = matrixProduct(dy.t(), asRows(x)).to(master.scalar_type());
      }
    }
    if (context->saved_data["bias"].toBool()) db = dy.sum(0, false, at::kFloat);
    return {dx, dw, Tensor(), db};
  }
};

// Inputs are x, the masters, and then the weights that compute.
struct Linears : Function<Linears> {
  static variable_list forward(AutogradContext* context, const Tensor& x, at::TensorList masters,
                               at::TensorList computes) {
    variable_list saved{x}, products;
    saved.insert(saved.end(), masters.begin(), masters.end());
    saved.insert(saved.end(), computes.begin(), computes.end());
    context->save_for_backward(saved);
    for (const Tensor& compute : computes) products.push_back(shapedAs(matrixProduct(asRows(x), compute.t()), x));
    return products;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    static const auto sum = operatorOf<Tensor(at::TensorList, at::TensorList)>("selm::sum_of_products");
    static const auto add = operatorOf<void(at::TensorList, at::TensorList, const Tensor&)>("selm::add_products_");
    const auto saved = context->get_saved_variables();
    const size_t count = gradients.size();
    const Tensor &x = saved[0], rows = asRows(x);
    variable_list dys, computes(saved.end() - count, saved.end()), turned, sums, found(saved.size());
    for (size_t i = 0; i < count; i++) {
      const Tensor& master = saved[1 + i];
      dys.push_back(asRows(gradients[i].contiguous()));
      if (!master.requires_grad()) continue;
      if (master.is_leaf() && master.grad().defined()) {
        sums.push_back(master.grad());
        turned.push_back(dys[i].t());
      } else {
        found[1 + i] = matrixProduct(dys[i].t(), rows).to(master.scalar_type());
      }
    }
    if (context->needs_input_grad(0)) found[0] = shapedAs(sum.call(dys, computes), x);
    if (!sums.empty()) add.call(sums, turned, rows);
    return found;
  }
};

struct TreeAttention : Function<TreeAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        at::IntArrayRef segments, double scale, int64_t window, double softCap) {
    static const auto attend =
        operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef, double,
                                              int64_t, double)>("selm::tree_attention_forward");
    auto [out, logSums] = attend.call(q, k, v, segments, scale, window, softCap);
    context->save_for_backward({q, k, v, out, logSums});
    context->saved_data["segments"] = segments.vec();
    context->saved_data["scale"] = scale;
    context->saved_data["window"] = window;
    context->saved_data["softCap"] = softCap;
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const std::vector<int64_t> segments = context->saved_data["segments"].toIntVector();
    static const auto derive = operatorOf<std::tuple<Tensor, Tensor, Tensor>(
        const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef,
        double, int64_t, double)>("selm::tree_attention_backward");
    auto [dq, dk, dv] = derive.call(gradients[0], saved[0], saved[1], saved[2], saved[3], saved[4], segments,
                                    context->saved_data["scale"].toDouble(), context->saved_data["window"].toInt(),
                                    context->saved_data["softCap"].toDouble());
    return {dq, dk, dv, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor rmsNorm(const Tensor& x, const Tensor& weight, double eps) {
  checkRmsNorm(x, weight);
  return hasKernel(x) ? RmsNorm::apply(x, weight, eps) : composite::rmsNorm(x, weight, eps);
}
Tensor rotary(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  checkRotary(x, cos, sin);
  return hasKernel(x) ? Rotary::apply(x, cos, sin) : composite::rotary(x, cos, sin);
}
Tensor swiglu(const Tensor& gate, const Tensor& up) {
  checkGate(gate, up, "swiglu");
  return hasKernel(gate) ? Gate::apply(gate, up, "silu") : composite::swiglu(gate, up);
}
Tensor geglu(const Tensor& gate, const Tensor& up) {
  checkGate(gate, up, "geglu");
  return hasKernel(gate) ? Gate::apply(gate, up, "gelu_tanh") : composite::geglu(gate, up);
}
Tensor treeAttention(const Tensor& q, const Tensor& k, const Tensor& v, at::IntArrayRef segments, double scale,
                     int64_t window, double softCap) {
  checkTreeAttention(q, k, v);
  // Half types have flash attention where they have no kernel.
  if (!hasKernel(q) && q.scalar_type() != at::kHalf)
    return composite::treeAttention(q, k, v, segments, scale, window, softCap);
  return TreeAttention::apply(q, k, v, segments, scale, window, softCap);
}
Tensor mixedLinear(const Tensor& x, const Tensor& master, const Tensor& compute, const std::optional<Tensor>& bias) {
  checkLinear(x, master, compute);
  return Linear::apply(x, master, compute, bias);
}
std::vector<Tensor> mixedLinears(const Tensor& x, at::TensorList masters, at::TensorList computes) {
  TORCH_CHECK(!masters.empty() && masters.size() == computes.size(), "mixed_linears: ", masters.size(), " masters and ",
              computes.size(), " weights that compute");
  for (size_t i = 0; i < masters.size(); i++) checkLinear(x, masters[i], computes[i]);
  return Linears::apply(x, masters, computes);
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, Autograd, library) {
  library.impl("mixed_linear", &selm::mixedLinear);
  library.impl("mixed_linears", &selm::mixedLinears);
  library.impl("rms_norm", &selm::rmsNorm);
  library.impl("rotary", &selm::rotary);
  library.impl("swiglu", &selm::swiglu);
  library.impl("geglu", &selm::geglu);
  library.impl("tree_attention", &selm::treeAttention);
}
