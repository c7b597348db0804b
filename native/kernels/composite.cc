#include "composite.h"

#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "checks.h"
#include "segments.h"
#include "upload.h"

namespace selm::composite {
namespace {

// [T, H, d] -> [1, H, L, d], a view.
at::Tensor heads(const at::Tensor& x, int64_t start, int64_t length) {
  return x.narrow(0, start, length).transpose(0, 1).unsqueeze(0);
}

at::Tensor repeated(const at::Tensor& x, int64_t times) {
  if (times == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), times, x.size(2)})
      .reshape({x.size(0), x.size(1) * times, x.size(2)});
}

}  // namespace

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  checkRmsNorm(x, weight);
  const at::Tensor wide = x.to(at::kFloat);
  return (wide * (wide.square().mean(-1, true) + eps).rsqrt() * weight.to(at::kFloat)).to(x.scalar_type());
}

at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  checkRotary(x, cos, sin);
  const int64_t half = x.size(2) / 2;
  const at::Tensor a = x.narrow(2, 0, half).to(at::kFloat), b = x.narrow(2, half, half).to(at::kFloat);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return at::cat({a * c - b * s, b * c + a * s}, 2).to(x.scalar_type());
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  checkGate(gate, up, "swiglu");
  return at::silu(gate) * up;
}

at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up) {
  checkGate(gate, up, "geglu");
  return at::gelu(gate, "tanh") * up;
}

// Each segment against its ancestors and itself, with a mask.
at::Tensor treeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::IntArrayRef flat,
                         double scale, int64_t window, double softCap) {
  checkTreeAttention(q, k, v);
  const auto segments = readSegments(flat, q.size(0));
  const int64_t times = q.size(1) / k.size(1);
  const at::Tensor keys = repeated(k, times), values = repeated(v, times);
  std::vector<at::Tensor> outputs;
  for (const Segment& s : segments) {
    std::vector<at::Tensor> seenKeys, seenValues;  // in order of the path: a key's index is its position
    for (int64_t a = s.parent; a >= 0; a = segments[a].parent) {
      seenKeys.insert(seenKeys.begin(), keys.narrow(0, segments[a].start, segments[a].length));
      seenValues.insert(seenValues.begin(), values.narrow(0, segments[a].start, segments[a].length));
    }
    seenKeys.push_back(keys.narrow(0, s.start, s.length));
    seenValues.push_back(values.narrow(0, s.start, s.length));
    at::Tensor mask = at::ones({s.length, s.position + s.length}, q.options().dtype(at::kBool)).tril(s.position);
    if (window > 0) mask = mask.triu(s.position - window + 1);
    const at::Tensor query = heads(q, s.start, s.length), key = at::cat(seenKeys).transpose(0, 1).unsqueeze(0),
                     value = at::cat(seenValues).transpose(0, 1).unsqueeze(0);
    at::Tensor o;
    if (softCap > 0) {
      const at::Tensor products = query.to(at::kFloat).matmul(key.transpose(2, 3).to(at::kFloat));
      const at::Tensor scores = ((products * (scale / softCap)).tanh() * softCap).masked_fill(~mask, -INFINITY);
      o = scores.softmax(-1).to(q.scalar_type()).matmul(value);
    } else {
      o = at::scaled_dot_product_attention(query, key, value, mask, 0.0, false, scale);
    }
    outputs.push_back(o.squeeze(0).transpose(0, 1));
  }
  return at::cat(outputs);
}

// Known tokens ask with zeros, and what they get is dropped.
at::Tensor treeAttentionWithKnown(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::IntArrayRef flat,
                                  at::IntArrayRef known, double scale, int64_t window, double softCap) {
  const auto segments = readSegments(flat, k.size(0));
  checkKnownRoots(q, k, v, segments, known);
  std::vector<int64_t> asking;
  for (size_t i = 0; i < segments.size(); i++) {
    if (std::find(known.begin(), known.end(), static_cast<int64_t>(i)) != known.end()) continue;
    for (int64_t row = 0; row < segments[i].length; row++) asking.push_back(segments[i].start + row);
  }
  const at::Tensor rows = onDevice(asking, q.device());
  const at::Tensor all = at::zeros({k.size(0), q.size(1), q.size(2)}, q.options()).index_copy(0, rows, q);
  return std::get<0>(treeAttentionForward(all, k, v, flat, scale, window, softCap)).index_select(0, rows);
}

std::tuple<at::Tensor, at::Tensor> targetLogProbs(const at::Tensor& logits, const at::Tensor& targets) {
  checkTargets(logits, targets, "target_log_probs");
  const at::Tensor wide = logits.to(at::kFloat), normalisers = wide.logsumexp(1);
  return {wide.gather(1, targets.unsqueeze(1)).squeeze(1) - normalisers, normalisers};
}

at::Tensor& logProbGradient_(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& normalisers,
                             const at::Tensor& coefficients, double softCap) {
  checkTargets(logits, targets, "log_prob_gradient_");
  checkCoefficients(targets, normalisers, coefficients);
  at::Tensor gradient = -(logits.to(at::kFloat) - normalisers.unsqueeze(1)).exp();
  gradient.scatter_add_(1, targets.unsqueeze(1), at::ones({logits.size(0), 1}, gradient.options()));
  gradient *= coefficients.unsqueeze(1);
  if (softCap > 0) gradient *= 1 - (logits.to(at::kFloat) / softCap).square();
  return logits.copy_(gradient);
}

at::Tensor& softCap_(at::Tensor& x, double cap) {
  checkCap(cap);
  return x.copy_((x.to(at::kFloat) / cap).tanh() * cap);
}

at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias) {
  checkProduct(a, b, bias);
  return at::linear(a, b.t(), bias.has_value() && bias->defined() ? bias->to(a.scalar_type()) : at::Tensor());
}

at::Tensor& addProduct_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  checkSum(sum, a, b);
  return sum.addmm_(a.to(sum.scalar_type()), b.to(sum.scalar_type()));
}

bool hasTiles(const at::Tensor&) { return false; }

// The weights as they are, so that a product reads them where they lie: only the shape is that of panels.
at::Tensor packRows(at::TensorList weights) {
  checkPackRows(weights);
  std::vector<at::Tensor> all;
  for (const at::Tensor& weight : weights) {
    const int64_t missing = panelsFor(weight.size(0)) * kPanel - weight.size(0);
    all.push_back(missing == 0 ? weight : at::constant_pad_nd(weight, {0, 0, 0, missing}));
  }
  return at::cat(all).view({-1, kPanel, weights[0].size(1)}).transpose(1, 2);
}

at::Tensor rowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs,
                     const std::optional<at::Tensor>& bias, std::string_view arithmetic) {
  checkRowLinears(x, packed, outputs, bias);
  const at::Tensor weight = packed.transpose(1, 2).reshape({-1, packed.size(1)}).narrow(0, 0, outputs);
  const at::Tensor biases = bias.has_value() && bias->defined() ? bias->to(x.scalar_type()) : at::Tensor();
  if (arithmetic == "float32") return at::linear(x, weight.to(x.scalar_type()), biases);
  const at::Tensor product = at::linear(x.to(at::kBFloat16), weight.to(at::kBFloat16)).to(x.scalar_type());
  return biases.defined() ? product + biases : product;
}

std::vector<at::Tensor> rowLinears(const at::Tensor& x, const at::Tensor& packed, at::IntArrayRef outputs,
                                   const std::optional<at::Tensor>& bias, std::string_view arithmetic) {
  checkRowLinears(x, packed, outputs, bias);
  const bool hasBias = bias.has_value() && bias->defined();
  std::vector<at::Tensor> products;
  int64_t panel = 0, output = 0;
  for (const int64_t count : outputs) {
    const auto part = hasBias ? std::optional(bias->narrow(0, output, count)) : std::nullopt;
    products.push_back(rowLinear(x, packed.narrow(0, panel, panelsFor(count)), count, part, arithmetic));
    panel += panelsFor(count);
    output += count;
  }
  return products;
}

at::Tensor rowGated(const at::Tensor& x, const at::Tensor& packed, int64_t outputs, std::string_view activation,
                    std::string_view arithmetic) {
  const auto products = rowLinears(x, packed, {outputs, outputs}, std::nullopt, arithmetic);
  return activation == "silu" ? swiglu(products[0], products[1]) : geglu(products[0], products[1]);
}

void writePages(at::Tensor& keys, at::Tensor& values, const at::Tensor& k, const at::Tensor& v,
                const at::Tensor& places) {
  checkWritePages(keys, values, k, v, places);
  const at::Tensor pages = places.floor_divide(kPageTokens), tokens = places.remainder(kPageTokens);
  keys.permute({0, 3, 1, 2}).index_put_({pages, tokens}, k.to(keys.scalar_type()));
  values.permute({0, 2, 1, 3}).index_put_({pages, tokens}, v.to(values.scalar_type()));
}

std::tuple<at::Tensor, at::Tensor> readPages(const at::Tensor& keys, const at::Tensor& values,
                                             const at::Tensor& places) {
  checkReadPages(keys, values, places);
  const at::Tensor pages = places.floor_divide(kPageTokens), tokens = places.remainder(kPageTokens);
  return {keys.permute({0, 3, 1, 2}).index({pages, tokens}), values.permute({0, 2, 1, 3}).index({pages, tokens})};
}

}  // namespace selm::composite

// Called without a graph: gradients are autograd.cc's.
TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  using namespace selm::composite;
  library.impl("rms_norm", &rmsNorm);
  library.impl("rotary", &rotary);
  library.impl("swiglu", &swiglu);
  library.impl("geglu", &geglu);
  library.impl("tree_attention", &treeAttention);
  library.impl("target_log_probs", &targetLogProbs);
  library.impl("log_prob_gradient_", &logProbGradient_);
  library.impl("soft_cap_", &softCap_);
  library.impl("pack_rows", [](at::TensorList weights, std::string_view) { return packRows(weights); });
  library.impl("has_tiles", &hasTiles);
  library.impl("matrix_product", &matrixProduct);
  library.impl("add_product_", &addProduct_);
  library.impl("row_linear", &rowLinear);
  library.impl("row_linears", &rowLinears);
  library.impl("row_gated", &rowGated);
  library.impl("write_pages", &writePages);
  library.impl("read_pages", &readPages);
  library.impl("tree_attention_with_known", &treeAttentionWithKnown);
}
