// What of automatic differentiation is not an operator: grad mode, leaves, gradients, the backward pass.
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "bridge.h"

namespace selm {
namespace {

// setGradEnabled(flag): switches recording on this thread, returns what it was.
napi_value setGradEnabled(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const bool before = at::GradMode::is_enabled();
    at::GradMode::set_enabled(arguments.boolean(0));
    return makeBoolean(env, before);
  });
}

napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    arguments.tensor(0).set_requires_grad(arguments.boolean(1));
    return makeNull(env);
  });
}

napi_value requiresGrad(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return makeBoolean(env, arguments.tensor(0).requires_grad());
  });
}

// gradient(tensor): its accumulated gradient, or null.
napi_value gradient(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return makeHandle(env, arguments.tensor(0).grad());
  });
}

// setGradient(tensor, gradient or null)
napi_value setGradient(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    arguments.tensor(0).mutable_grad() = arguments.isNullish(1) ? at::Tensor() : arguments.tensor(1);
    return makeNull(env);
  });
}

// backward(outputs, output gradients): accumulates into the leaves and frees the graph.
napi_value backward(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    torch::autograd::backward(arguments.tensors(0), arguments.tensors(1));
    return makeNull(env);
  });
}

// gradients(outputs, inputs, output gradients): gradients of the inputs (null where unused), frees the graph.
napi_value gradients(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return makeHandles(env, torch::autograd::grad(arguments.tensors(0), arguments.tensors(1), arguments.tensors(2),
                                                  std::nullopt, false, true));
  });
}

}  // namespace

void defineAutograd(napi_env env, napi_value exports) {
  define(env, exports, "setGradEnabled", setGradEnabled);
  define(env, exports, "setRequiresGrad", setRequiresGrad);
  define(env, exports, "requiresGrad", requiresGrad);
  define(env, exports, "gradient", gradient);
  define(env, exports, "setGradient", setGradient);
  define(env, exports, "backward", backward);
  define(env, exports, "gradients", gradients);
}

}  // namespace selm
