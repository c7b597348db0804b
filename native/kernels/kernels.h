// The operators that LibTorch does not have, registered with its dispatcher as `selm::...`, so that TypeScript reaches
// them as it reaches all others. Each has a hand-written CPU kernel; elsewhere it is composed of LibTorch's operators.
#pragma once
#include <ATen/ATen.h>

namespace selm {

// y = x * weight / sqrt(mean(x^2) + eps) over the last dimension, in fp32 inside.
at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

// Rotary position embedding on [T, H, d] with cos and sin [T, d/2]; halves are rotated against each other.
at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

// silu(gate) * up
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
// gelu(gate) * up, gelu in its tanh form
at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up);

// x [T, I] times master [O, I] transposed. `compute` holds the same weights in x's type (the master itself in fp32):
// the product uses it, the gradient goes to the master in the master's type.
at::Tensor linear(const at::Tensor& x, const at::Tensor& master, const at::Tensor& compute, const std::optional<at::Tensor>& bias);

// Attention over a packed stream of tokens q [T, H, d], k and v [T, K, d]. `segments` lists (start, length, parent) of
// every segment; a token attends to all of its segment's ancestors and, causally, to its own segment. parent is the
// index of an earlier segment, or -1. Segments cover the stream. With a window, a token sees only the last `window` tokens
// on the path from its root to itself, itself included; with a soft cap c, scores s become c tanh(s / c). 0 is none.
at::Tensor treeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::IntArrayRef segments, double scale,
                         int64_t window, double softCap);

// (log softmax(logits [T, V])[t, targets[t]], log-sum-exp of each row), both [T] in fp32.
std::tuple<at::Tensor, at::Tensor> targetLogProbs(const at::Tensor& logits, const at::Tensor& targets);
// Writes the gradient of sum_t coefficients[t] * logProb[t] by the logits over the logits. Of logits that went through
// softCap_ with `softCap`, the gradient is that by what they were before.
at::Tensor logProbGradient_(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& normalisers,
                            const at::Tensor& coefficients, double softCap);
// x becomes cap * tanh(x / cap), in place, without a gradient.
at::Tensor softCap_(const at::Tensor& x, double cap);

// Weights [O, I] laid out for rowLinear: [ceil(O / 32), I, 32], zero-padded.
at::Tensor packRows(const at::Tensor& weight);
// x [T, I] fp32 times packed weights: [T, O] fp32. A row's result does not depend on the other rows or on their number.
at::Tensor rowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs, const std::optional<at::Tensor>& bias);

// One new token of each of B sequences against its cache: q [B, H, d], caches [S, M, K, d]. `layout` lists, for each
// sequence, (prefix slot, prefix length, own slot, own length): keys are the prefix's, then its own. Window (the last
// `window` keys) and soft cap as in treeAttention.
at::Tensor decodeAttention(const at::Tensor& q, const at::Tensor& prefixKeys, const at::Tensor& prefixValues, const at::Tensor& keys,
                           const at::Tensor& values, at::IntArrayRef layout, double scale, int64_t window, double softCap);

// One token of each row of logits [B, V]: ids and their log-probabilities under the unchanged distribution.
std::tuple<at::Tensor, at::Tensor> sampleTokens(const at::Tensor& logits, double temperature, int64_t topK, double topP,
                                                at::ArrayRef<double> uniforms);

}  // namespace selm
