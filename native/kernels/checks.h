// What operators ask of their arguments, whoever computes them: a wrong call is refused with the shapes that it had.
#pragma once
#include <ATen/ATen.h>

namespace selm {

inline void checkRmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0), "rms_norm: x of shape ", x.sizes(),
              " does not end with the weight's length ", weight.sizes());
}

inline void checkRotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) && cos.size(1) * 2 == x.size(2) && cos.sizes() == sin.sizes(),
              "rotary: x ", x.sizes(), " needs cos and sin of [T, d/2], got ", cos.sizes(), " and ", sin.sizes());
}

inline void checkGate(const at::Tensor& gate, const at::Tensor& up, const char* what) {
  TORCH_CHECK(gate.sizes() == up.sizes(), what, ": gate ", gate.sizes(), " and up ", up.sizes(), " differ");
}

inline void checkLinear(const at::Tensor& x, const at::Tensor& master, const at::Tensor& compute) {
  TORCH_CHECK(master.dim() == 2 && x.size(-1) == master.size(1) && master.sizes() == compute.sizes(), "mixed_linear: x of shape ", x.sizes(),
              " does not fit weights of shape ", master.sizes(), " (computed with ", compute.sizes(), ")");
  TORCH_CHECK(x.scalar_type() == compute.scalar_type(), "mixed_linear: x is ", x.scalar_type(), " but the weights compute in ",
              compute.scalar_type());
}

inline void checkTreeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) && q.size(2) == k.size(2) &&
                  k.size(1) > 0 && q.size(1) % k.size(1) == 0,
              "tree_attention: q ", q.sizes(), " k ", k.sizes(), " v ", v.sizes(), " are not [T, H, d], [T, K, d] with K dividing H");
}

inline void checkTargets(const at::Tensor& logits, const at::Tensor& targets, const char* what) {
  TORCH_CHECK(logits.dim() == 2 && targets.dim() == 1 && logits.size(0) == targets.size(0) && targets.scalar_type() == at::kLong, what,
              ": logits ", logits.sizes(), " need one int64 target a row, got ", targets.sizes(), " ", targets.scalar_type());
}

inline void checkCoefficients(const at::Tensor& targets, const at::Tensor& normalisers, const at::Tensor& coefficients) {
  TORCH_CHECK(normalisers.sizes() == targets.sizes() && coefficients.sizes() == targets.sizes() &&
                  normalisers.scalar_type() == at::kFloat && coefficients.scalar_type() == at::kFloat,
              "log_prob_gradient_: normalisers ", normalisers.sizes(), " and coefficients ", coefficients.sizes(), " must be fp32, one a row");
}

inline void checkCap(double cap) { TORCH_CHECK(cap > 0, "soft_cap_: the cap must be positive, got ", cap); }

constexpr int64_t kPanel = 32;  // outputs a panel of packed weights

inline void checkRowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs) {
  TORCH_CHECK(x.dim() == 2 && packed.dim() == 3 && packed.size(1) >= x.size(1) && packed.size(1) < x.size(1) + kPanel && packed.size(2) == kPanel &&
                  packed.size(0) == (outputs + kPanel - 1) / kPanel && packed.is_contiguous(),
              "row_linear: x of shape ", x.sizes(), " does not fit packed weights of shape ", packed.sizes(), " for ", outputs, " outputs");
}

// Returns the number of keys of the longest sequence.
inline int64_t checkDecodeAttention(const at::Tensor& q, const at::Tensor& prefixKeys, const at::Tensor& prefixValues,
                                    const at::Tensor& keys, const at::Tensor& values, at::IntArrayRef layout) {
  TORCH_CHECK(keys.scalar_type() == q.scalar_type() && prefixKeys.scalar_type() == q.scalar_type() && keys.device() == q.device(),
              "decode_attention: caches of the queries' type and device are needed, got ", keys.scalar_type(), " on ", keys.device(),
              " for ", q.scalar_type(), " on ", q.device());
  TORCH_CHECK(static_cast<int64_t>(layout.size()) == q.size(0) * 4, "decode_attention: ", q.size(0), " sequences need ", q.size(0) * 4,
              " layout numbers, got ", layout.size());
  TORCH_CHECK(prefixKeys.is_contiguous() && prefixValues.is_contiguous() && keys.is_contiguous() && values.is_contiguous(),
              "decode_attention: caches must be contiguous");
  int64_t longest = 0;
  for (int64_t b = 0; b < q.size(0); b++) {
    const int64_t* l = layout.data() + b * 4;
    TORCH_CHECK(l[0] >= 0 && l[0] < prefixKeys.size(0) && l[1] >= 0 && l[1] <= prefixKeys.size(1) && l[2] >= 0 && l[2] < keys.size(0) &&
                    l[3] >= 0 && l[3] <= keys.size(1) && l[1] + l[3] > 0,
                "decode_attention: sequence ", b, " points outside its caches");
    longest = std::max(longest, l[1] + l[3]);
  }
  return longest;
}

inline void checkSampling(const at::Tensor& logits, double temperature, double topP, size_t uniforms) {
  TORCH_CHECK(logits.dim() == 2 && static_cast<int64_t>(uniforms) == logits.size(0), "sample_tokens: logits ", logits.sizes(),
              " need one uniform number a row, got ", uniforms);
  TORCH_CHECK(temperature >= 0 && topP > 0, "sample_tokens: temperature ", temperature, " must not be negative, top-p ", topP, " must be positive");
}

}  // namespace selm
