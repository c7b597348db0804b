// RMS norm, rotary positions and gated activations: one pass over memory each, forward and backward.
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include "../backends.h"
#include "../checks.h"
#include "activations.h"
#include "operands.h"
#include "panels.h"
#include "rounding.h"
#include "team.h"

namespace selm {
namespace {

template <typename Body>
void forTypes(const at::Tensor& x, Body body) {
  if (x.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<c10::BFloat16*>(nullptr));
  }
}

constexpr int64_t kGrain = 64;  // rows a task

// Rows [begin, end); inverse may be null.
template <typename X, typename Y>
void rmsRows(const X* x, const float* weight, Y* y, float* inverse, int64_t width, double eps, int64_t begin,
             int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const X* in = x + row * width;
    Float16 squares = splat(0);
    for (int64_t i = 0; i < width; i += kLanes) {
      const Float16 v = load(in + i, width - i);
      squares += v * v;
    }
    const float scale = 1.0f / std::sqrt(sum(squares) / static_cast<float>(width) + static_cast<float>(eps));
    if (inverse != nullptr) inverse[row] = scale;
    for (int64_t i = 0; i < width; i += kLanes) {
      storeNormal(y + row * width + i, load(in + i, width - i) * scale * load(weight + i, width - i), width - i);
    }
  }
}

// dx = s (w dy - x s^2 mean(w dy x)), dw = sum over rows of dy x s; the sum runs in a fixed order of blocks of rows.
template <typename T>
void rmsBackward(const T* x, const float* weight, const float* inverse, const T* dy, T* dx, float* partial,
                 int64_t rows, int64_t width) {
  shareRanges((rows + kGrain - 1) / kGrain, 1, [&](int64_t first, int64_t last) {
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
          storeNormal(dw + i, load(dw + i, left) + g * v * scale, left);
        }
        const float mean = sum(dots) / static_cast<float>(width) * scale * scale;
        for (int64_t i = 0; i < width; i += kLanes) {
          const int64_t left = width - i;
          storeNormal(dx + row * width + i,
                      (load(out + i, left) * load(weight + i, left) - load(in + i, left) * mean) * scale, left);
        }
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor> rmsNormForward(const at::Tensor& x_, const at::Tensor& weight, double eps) {
  checkRmsNorm(x_, weight);
  const at::Tensor x = x_.contiguous(), weightFloat = contiguousFloats(weight);
  const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
  at::Tensor y = at::empty_like(x);
  at::Tensor inverse = at::empty({rows}, x.options().dtype(at::kFloat));
  forTypes(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    shareRanges(rows, kGrain, [&](int64_t begin, int64_t end) {
      rmsRows(x.data_ptr<T>(), weightFloat.data_ptr<float>(), y.data_ptr<T>(), inverse.data_ptr<float>(), width, eps,
              begin, end);
    });
  });
  return {y, inverse};
}

// A result in bf16 has room for whole tiles.
at::Tensor rmsNormOperand(const at::Tensor& x_, const at::Tensor& weight, double eps, std::string_view arithmetic) {
  checkRmsNorm(x_, weight);
  const at::Tensor x = contiguousFloats(x_), weightFloat = contiguousFloats(weight);
  const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
  const auto run = [&](auto* y) {
    shareRanges(rows, kGrain, [&](int64_t begin, int64_t end) {
      rmsRows(x.data_ptr<float>(), weightFloat.data_ptr<float>(), y, static_cast<float*>(nullptr), width, eps, begin,
              end);
    });
  };
  const bool isFloat = arithmetic == "float32";
  const at::Tensor y =
      at::empty({isFloat ? rows : roomFor(rows), width}, x.options().dtype(isFloat ? at::kFloat : at::kBFloat16));
  if (isFloat) {
    run(y.data_ptr<float>());
  } else {
    run(y.data_ptr<c10::BFloat16>());
  }
  return firstRows(y, rows);
}

std::tuple<at::Tensor, at::Tensor> rmsNormBackward(const at::Tensor& gradient, const at::Tensor& x_,
                                                   const at::Tensor& weight, const at::Tensor& inverse) {
  const at::Tensor x = x_.contiguous(), dy = gradient.contiguous(), weightFloat = contiguousFloats(weight);
  const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
  at::Tensor dx = at::empty_like(x);
  at::Tensor partial = at::zeros({(rows + kGrain - 1) / kGrain, width}, inverse.options());
  forTypes(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    rmsBackward(x.data_ptr<T>(), weightFloat.data_ptr<float>(), inverse.data_ptr<float>(), dy.data_ptr<T>(),
                dx.data_ptr<T>(), partial.data_ptr<float>(), rows, width);
  });
  return {dx, partial.sum(0).to(weight.scalar_type())};
}

// direction +1 rotates forwards, -1 back (the gradient of a rotation is the opposite rotation).
template <typename T>
void rotateTokens(const T* x, const float* cos, const float* sin, T* y, int64_t tokens, int64_t heads, int64_t half,
                  float direction) {
  shareRanges(tokens, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const float* c = cos + t * half;
      const float* s = sin + t * half;
      for (int64_t h = 0; h < heads; h++) {
        const T* in = x + (t * heads + h) * 2 * half;
        T* out = y + (t * heads + h) * 2 * half;
        for (int64_t i = 0; i < half; i += kLanes) {
          const int64_t left = half - i;
          const Float16 a = load(in + i, left), b = load(in + i + half, left);
          const Float16 cosine = load(c + i, left), sine = load(s + i, left) * direction;
          storeNormal(out + i, a * cosine - b * sine, left);
          storeNormal(out + i + half, b * cosine + a * sine, left);
        }
      }
    }
  });
}

at::Tensor rotate(const at::Tensor& x_, const at::Tensor& cos_, const at::Tensor& sin_, double direction) {
  checkRotary(x_, cos_, sin_);
  const at::Tensor x = x_.contiguous(), cos = contiguousFloats(cos_), sin = contiguousFloats(sin_);
  at::Tensor y = at::empty_like(x);
  forTypes(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    rotateTokens(x.data_ptr<T>(), cos.data_ptr<float>(), sin.data_ptr<float>(), y.data_ptr<T>(), x.size(0), x.size(1),
                 x.size(2) / 2, static_cast<float>(direction));
  });
  return y;
}

template <typename Activation, typename T>
void gateForward(const T* gate, const T* up, T* y, int64_t n) {
  shareRanges((n + kLanes - 1) / kLanes, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kLanes; i < std::min(n, end * kLanes); i += kLanes) {
      const Float16 g = load(gate + i, n - i);
      storeNormal(y + i, activated<Activation>(g) * load(up + i, n - i), n - i);
    }
  });
}

template <typename Activation, typename T>
void gateBackward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, int64_t n) {
  shareRanges((n + kLanes - 1) / kLanes, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kLanes; i < std::min(n, end * kLanes); i += kLanes) {
      const int64_t left = n - i;
      const Float16 g = load(gate + i, left), d = load(dy + i, left);
      const Float16 sigmoid = 1.0f / (exponential(-Activation::inner(g)) + 1.0f);
      storeNormal(dup + i, d * g * sigmoid, left);
      storeNormal(dgate + i, d * load(up + i, left) * sigmoid * (1.0f + g * Activation::slope(g) * (1.0f - sigmoid)),
                  left);
    }
  });
}

at::Tensor gated(const at::Tensor& gate_, const at::Tensor& up_, c10::string_view activation) {
  checkGate(gate_, up_, "gated");
  const at::Tensor gate = gate_.contiguous(), up = up_.contiguous();
  at::Tensor y = at::empty_like(gate);
  forActivations(activation, [&](auto kind) {
    forTypes(gate, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      gateForward<decltype(kind)>(gate.data_ptr<T>(), up.data_ptr<T>(), y.data_ptr<T>(), gate.numel());
    });
  });
  return y;
}

std::tuple<at::Tensor, at::Tensor> gatedBackward(const at::Tensor& gradient, const at::Tensor& gate_,
                                                 const at::Tensor& up_, c10::string_view activation) {
  const at::Tensor gate = gate_.contiguous(), up = up_.contiguous(), dy = gradient.contiguous();
  at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  forActivations(activation, [&](auto kind) {
    forTypes(gate, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      gateBackward<decltype(kind)>(gate.data_ptr<T>(), up.data_ptr<T>(), dy.data_ptr<T>(), dgate.data_ptr<T>(),
                                   dup.data_ptr<T>(), gate.numel());
    });
  });
  return {dgate, dup};
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("rms_norm_forward", &selm::rmsNormForward);
  library.impl("rms_norm_backward", &selm::rmsNormBackward);
  library.impl("rms_norm_operand", &selm::rmsNormOperand);
  library.impl("rotate", &selm::rotate);
  library.impl("gated", &selm::gated);
  library.impl("gated_backward", &selm::gatedBackward);
}
