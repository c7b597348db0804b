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

// gelu itself, x / 2 (1 + erf(x / sqrt(2))), with an error below 4e-7 |x|: erf by Eigen's rational approximation (XLA has it too), which is
// one beyond the bound.
struct Gelu {
  static Float16 of(Float16 x) {
    const Float16 z = x * 0.70710678118654752f, bound = splat(4.0f);
    const Float16 y = z > bound ? bound : (z < -bound ? -bound : z), square = y * y;
    Float16 p = splat(-2.72614225801306e-10f);
    p = p * square + 2.77068142495902e-08f;
    p = p * square + -2.10102402082508e-06f;
    p = p * square + -5.69250639462346e-05f;
    p = p * square + -7.34990630326855e-04f;
    p = p * square + -2.95459980854025e-03f;
    p = p * square + -1.60960333262415e-02f;
    Float16 q = splat(-1.45660718464996e-05f);
    q = q * square + -2.13374055278905e-04f;
    q = q * square + -1.68282697438203e-03f;
    q = q * square + -7.37332916720468e-03f;
    q = q * square + -1.42647390514189e-02f;
    return x * 0.5f * (y * p / q + 1.0f);
  }
};

template <typename Activation>
inline Float16 activated(Float16 x) {
  return x / (exponential(-Activation::inner(x)) + 1.0f);
}

// The same for a result in type T: of what is rounded to bf16, a division's last bit says nothing, and an approximate reciprocal that is improved
// once is four times as fast.
template <typename Activation, typename T>
inline Float16 activatedFor(Float16 x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    const Float16 divisor = exponential(-Activation::inner(x)) + 1.0f;
    const auto reciprocal = reinterpret_cast<Float16>(_mm512_rcp14_ps(reinterpret_cast<__m512>(divisor)));
    return x * (reciprocal * (2.0f - divisor * reciprocal));
  }
#endif
  return activated<Activation>(x);
}

template <typename Body>
void forActivations(std::string_view name, Body body) {
  if (name == "silu") return body(Silu());
  TORCH_CHECK(name == "gelu_tanh", "gated: activation ", name, " is not one of silu, gelu_tanh");
  body(GeluTanh());
}

}  // namespace selm
