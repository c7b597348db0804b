// Activations of a gate.
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
