// RMS norm, rotary positions and gated activations: one pass over memory each, forward and backward.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "vector.h"

namespace selm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Whether the kernels below take x; whatever its shape, so that a result never depends on which path a shape takes.
bool vectorised(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

template <typename Body>
void forTypes(const at::Tensor& x, Body body) {
  if (x.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<c10::BFloat16*>(nullptr));
  }
}

constexpr int64_t kGrain = 64;  // rows a task

template <typename T>
void rmsForward(const T* x, const float* weight, T* y, float* inverse, int64_t rows, int64_t width, double eps) {
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T* in = x + row * width;
      Float16 squares = splat(0);
      for (int64_t i = 0; i < width; i += kLanes) {
        const Float16 v = load(in + i, width - i);
        squares += v * v;
      }
      const float scale = 1.0f / std::sqrt(sum(squares) / static_cast<float>(width) + static_cast<float>(eps));
      inverse[row] = scale;
      for (int64_t i = 0; i < width; i += kLanes) {
        store(y + row * width + i, load(in + i, width - i) * scale * load(weight + i, width - i), width - i);
      }
    }
  });
}

// dx = s (w dy - x s^2 mean(w dy x)), dw = sum over rows of dy x s; the sum runs in a fixed order of blocks of rows.
template <typename T>
void rmsBackward(const T* x, const float* weight, const float* inverse, const T* dy, T* dx, float* partial, int64_t rows,
                 int64_t width) {
  at::parallel_for(0, (rows + kGrain - 1) / kGrain, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block++) {
      float* dw = partial + block * width;
      for (int64_t row = block * kGrain; row < std::min(rows, (block + 1) * kGrain); row++) {
        const T* in = x + row * width;
        const T* out = dy + row * width;
        const float scale = inverse[row];
        Float16 dots = splat(0);
        for (int64_t i = 0; i < width; i += kLanes) {
          const int64_t left = width - i;
          const Float16 v = load(in + i, left), g = load(out + i, left);
          dots += v * g * load(weight + i, left);
          store(dw + i, load(dw + i, left) + g * v * scale, left);
        }
        const float mean = sum(dots) / static_cast<float>(width) * scale * scale;
        for (int64_t i = 0; i < width; i += kLanes) {
          const int64_t left = width - i;
          store(dx + row * width + i, (load(out + i, left) * load(weight + i, left) - load(in + i, left) * mean) * scale, left);
        }
      }
    }
  });
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_, const at::Tensor& weight, double eps) {
    const at::Tensor x = x_.contiguous();
    const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
    const at::Tensor weightFloat = weight.to(at::kFloat).contiguous();
    at::Tensor y = at::empty_like(x);
    at::Tensor inverse = at::empty({rows}, x.options().dtype(at::kFloat));
    forTypes(x, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      rmsForward(x.data_ptr<T>(), weightFloat.data_ptr<float>(), y.data_ptr<T>(), inverse.data_ptr<float>(), rows, width, eps);
    });
    context->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor weightFloat = weight.to(at::kFloat).contiguous();
    at::Tensor dx = at::empty_like(x);
    at::Tensor partial = at::zeros({(rows + kGrain - 1) / kGrain, width}, inverse.options());
    forTypes(x, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      rmsBackward(x.data_ptr<T>(), weightFloat.data_ptr<float>(), inverse.data_ptr<float>(), dy.data_ptr<T>(), dx.data_ptr<T>(),
                  partial.data_ptr<float>(), rows, width);
    });
    return {dx, partial.sum(0).to(weight.scalar_type()), at::Tensor()};
  }
};

// direction +1 rotates forwards, -1 back (the gradient of a rotation is the opposite rotation).
template <typename T>
void rotate(const T* x, const float* cos, const float* sin, T* y, int64_t tokens, int64_t heads, int64_t half, float direction) {
  at::parallel_for(0, tokens, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const float* c = cos + t * half;
      const float* s = sin + t * half;
      for (int64_t h = 0; h < heads; h++) {
        const T* in = x + (t * heads + h) * 2 * half;
        T* out = y + (t * heads + h) * 2 * half;
        for (int64_t i = 0; i < half; i++) {
          const float a = in[i], b = in[i + half], si = s[i] * direction;
          out[i] = a * c[i] - b * si;
          out[i + half] = b * c[i] + a * si;
        }
      }
    }
  });
}

at::Tensor rotated(const at::Tensor& x_, const at::Tensor& cos, const at::Tensor& sin, float direction) {
  const at::Tensor x = x_.contiguous();
  at::Tensor y = at::empty_like(x);
  forTypes(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    rotate(x.data_ptr<T>(), cos.data_ptr<float>(), sin.data_ptr<float>(), y.data_ptr<T>(), x.size(0), x.size(1), x.size(2) / 2,
           direction);
  });
  return y;
}

struct Rotary : Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotated(x, cos, sin, 1);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotated(gradients[0], saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
  }
};

// Activations of a gate, both x times the sigmoid of something: `inner` is that, `slope` its derivative.
struct Silu {
  static Float16 inner(Float16 x) { return x; }
  static Float16 slope(Float16) { return splat(1.0f); }
};
// gelu in its tanh form, x / 2 (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3): that is x sigmoid(2 u).
struct GeluTanh {
  static constexpr float kTwice = 1.5957691216057308f;  // 2 sqrt(2 / pi)
  static constexpr float kCube = 0.044715f;
  static Float16 inner(Float16 x) { return (x * x * kCube + 1.0f) * x * kTwice; }
  static Float16 slope(Float16 x) { return (x * x * (3.0f * kCube) + 1.0f) * kTwice; }
};

template <typename Activation, typename T>
void gateForward(const T* gate, const T* up, T* y, int64_t n) {
  at::parallel_for(0, (n + kLanes - 1) / kLanes, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kLanes; i < std::min(n, end * kLanes); i += kLanes) {
      const Float16 g = load(gate + i, n - i);
      store(y + i, g / (exponential(-Activation::inner(g)) + 1.0f) * load(up + i, n - i), n - i);
    }
  });
}

template <typename Activation, typename T>
void gateBackward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, int64_t n) {
  at::parallel_for(0, (n + kLanes - 1) / kLanes, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kLanes; i < std::min(n, end * kLanes); i += kLanes) {
      const int64_t left = n - i;
      const Float16 g = load(gate + i, left), d = load(dy + i, left);
      const Float16 sigmoid = 1.0f / (exponential(-Activation::inner(g)) + 1.0f);
      store(dup + i, d * g * sigmoid, left);
      store(dgate + i, d * load(up + i, left) * sigmoid * (1.0f + g * Activation::slope(g) * (1.0f - sigmoid)), left);
    }
  });
}

template <typename Activation>
struct Gate : Function<Gate<Activation>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_, const at::Tensor& up_) {
    const at::Tensor gate = gate_.contiguous(), up = up_.contiguous();
    at::Tensor y = at::empty_like(gate);
    forTypes(gate, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      gateForward<Activation>(gate.data_ptr<T>(), up.data_ptr<T>(), y.data_ptr<T>(), gate.numel());
    });
    context->save_for_backward({gate, up});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1], dy = gradients[0].contiguous();
    at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
    forTypes(gate, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      gateBackward<Activation>(gate.data_ptr<T>(), up.data_ptr<T>(), dy.data_ptr<T>(), dgate.data_ptr<T>(), dup.data_ptr<T>(), gate.numel());
    });
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0), "rms_norm: x of shape ", x.sizes(),
              " does not end with the weight's length ", weight.sizes());
  if (vectorised(x)) return RmsNorm::apply(x, weight, eps);
  const at::Tensor wide = x.to(at::kFloat);
  return (wide * (wide.square().mean(-1, true) + eps).rsqrt() * weight.to(at::kFloat)).to(x.scalar_type());
}

at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) && cos.size(1) * 2 == x.size(2) && cos.sizes() == sin.sizes(),
              "rotary: x ", x.sizes(), " needs cos and sin of [T, d/2], got ", cos.sizes(), " and ", sin.sizes());
  if (vectorised(x)) return Rotary::apply(x, cos.to(at::kFloat).contiguous(), sin.to(at::kFloat).contiguous());
  const int64_t half = x.size(2) / 2;
  const at::Tensor a = x.narrow(2, 0, half).to(at::kFloat), b = x.narrow(2, half, half).to(at::kFloat);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return at::cat({a * c - b * s, b * c + a * s}, 2).to(x.scalar_type());
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK(gate.sizes() == up.sizes(), "swiglu: gate ", gate.sizes(), " and up ", up.sizes(), " differ");
  if (vectorised(gate)) return Gate<Silu>::apply(gate, up);
  return at::silu(gate) * up;
}

at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK(gate.sizes() == up.sizes(), "geglu: gate ", gate.sizes(), " and up ", up.sizes(), " differ");
  if (vectorised(gate)) return Gate<GeluTanh>::apply(gate, up);
  return at::gelu(gate, "tanh") * up;
}

}  // namespace selm
