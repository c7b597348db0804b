// Activations: of a gate, and of an encoder.
#pragma once
#include <c10/util/Exception.h>

#include <string_view>

#include "vector.h"

namespace selm {

// Both are x times the sigmoid of something: `inner` is that, `slope` its derivative.
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

// gelu itself, x Phi(x), with an error below 2e-7 |x|: the tail of the normal distribution by Abramowitz and Stegun, 7.1.26.
struct Gelu {
  static Float16 of(Float16 x) {
    const Float16 distance = (x < 0.0f ? -x : x) * 0.70710678118654752f;
    const Float16 t = 1.0f / (distance * 0.3275911f + 1.0f);
    Float16 p = splat(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Float16 tail = p * t * exponential(-(distance * distance)) * 0.5f;
    return x * (x < 0.0f ? tail : 1.0f - tail);
  }
};

template <typename Activation>
inline Float16 activated(Float16 x) {
  return x / (exponential(-Activation::inner(x)) + 1.0f);
}

template <typename Body>
void forActivations(std::string_view name, Body body) {
  if (name == "silu") return body(Silu());
  TORCH_CHECK(name == "gelu_tanh", "gated: activation ", name, " is not one of silu, gelu_tanh");
  body(GeluTanh());
}

}  // namespace selm
