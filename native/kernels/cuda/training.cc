// What autograd.cc asks of a backend, on NVIDIA cards. Shapes that a kernel does not take go by LibTorch's operators.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "../checks.h"
#include "../composite.h"
#include "compiler.h"
#include "cuda_sources.h"
#include "launches.h"

namespace selm::cuda {
namespace {

using at::Tensor;

constexpr int64_t kWidestNorm = 12288;  // whose sums a block of threads holds in its memory
constexpr int64_t kNormBlocks = 512;    // rows of partial sums of a norm's gradient

bool isPacked(const Tensor& x) { return hasType(x) && x.size(-1) % kPackNumbers == 0; }

std::tuple<Tensor, Tensor> rmsNormForward(const Tensor& x_, const Tensor& weight_, double epsilon) {
  checkRmsNorm(x_, weight_);
  if (!isPacked(x_)) return composite::rmsNormForward(x_, weight_, epsilon);
  const Tensor x = x_.contiguous(), weight = weight_.to(at::kFloat).contiguous(), y = at::empty_like(x);
  const int64_t width = x.size(-1), rows = x.numel() / width;
  const Tensor inverse = at::empty({rows}, x.options().dtype(at::kFloat));
  const Program program(sources::norms, {definition("X", x.scalar_type()), definition("Y", x.scalar_type())}, x);
  program.run("rms_norm", {rows, kThreads}, x.data_ptr(), weight.data_ptr(), y.data_ptr(), inverse.data_ptr(),
              static_cast<int>(width), static_cast<float>(epsilon));
  return {y, inverse};
}

std::tuple<Tensor, Tensor> rmsNormBackward(const Tensor& gradient_, const Tensor& x_, const Tensor& weight_,
                                           const Tensor& inverse) {
  if (!isPacked(x_) || x_.size(-1) > kWidestNorm || gradient_.scalar_type() != x_.scalar_type())
    return composite::rmsNormBackward(gradient_, x_, weight_, inverse);
  const Tensor gradient = gradient_.contiguous(), x = x_.contiguous(), weight = weight_.to(at::kFloat).contiguous(),
               dx = at::empty_like(x);
  const int64_t width = x.size(-1), rows = x.numel() / width, blocks = std::min(rows, kNormBlocks);
  const Tensor parts = at::empty({blocks, width}, x.options().dtype(at::kFloat));
  const Program program(sources::norms, {definition("X", x.scalar_type()), definition("Y", x.scalar_type())}, x);
  program.run("rms_norm_backward", {blocks, kThreads, 1, static_cast<int>(width * sizeof(float))}, gradient.data_ptr(),
              x.data_ptr(), weight.data_ptr(), inverse.data_ptr(), dx.data_ptr(), parts.data_ptr(),
              static_cast<int>(rows), static_cast<int>(width));
  return {dx, parts.sum(0).to(weight_.scalar_type())};
}

Tensor rotate(const Tensor& x_, const Tensor& cos, const Tensor& sin, double direction) {
  checkRotary(x_, cos, sin);
  if (!hasType(x_) || cos.scalar_type() != at::kFloat || sin.scalar_type() != at::kFloat)
    return composite::rotate(x_, cos, sin, direction);
  const Tensor x = withHeadsTogether(x_), cosines = cos.contiguous(), sines = sin.contiguous(),
               y = at::empty(x.sizes(), x.options());
  const auto type = [&](const char* name) { return definition(name, x.scalar_type()); };
  const Program program(sources::heads, {type("X"), type("Y"), type("P")}, x);
  program.run("rotate", {x.size(0), kThreads}, x.data_ptr(), cosines.data_ptr(), sines.data_ptr(), y.data_ptr(),
              static_cast<int>(x.size(1)), static_cast<int>(x.size(2) / 2), x.stride(0), static_cast<float>(direction));
  return y;
}

Program gates(const Tensor& gate, at::ScalarType result, std::string_view activation) {
  return Program(
      sources::gates,
      {definition("X", gate.scalar_type()), definition("Y", result), activation == "silu" ? "GELU=0" : "GELU=1"}, gate);
}

Tensor gated(const Tensor& gate_, const Tensor& up_, std::string_view activation) {
  checkGate(gate_, up_, "gated");
  if (!isPacked(gate_) || gate_.scalar_type() != up_.scalar_type()) return composite::gated(gate_, up_, activation);
  const Tensor gate = gate_.contiguous(), up = up_.contiguous(), y = at::empty_like(gate);
  const int64_t width = gate.size(-1);
  gates(gate, y.scalar_type(), activation)
      .run("gated", {gate.numel() / width, kThreads, blocksFor(width, kThreads * kPackNumbers)}, gate.data_ptr(),
           up.data_ptr(), y.data_ptr(), static_cast<int>(width), static_cast<long long>(width));
  return y;
}

std::tuple<Tensor, Tensor> gatedBackward(const Tensor& gradient_, const Tensor& gate_, const Tensor& up_,
                                         std::string_view activation) {
  if (!isPacked(gate_) || gate_.scalar_type() != up_.scalar_type() || gradient_.scalar_type() != gate_.scalar_type())
    return composite::gatedBackward(gradient_, gate_, up_, activation);
  const Tensor gradient = gradient_.contiguous(), gate = gate_.contiguous(), up = up_.contiguous();
  const Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  gates(gate, gate.scalar_type(), activation)
      .run("gated_backward", {blocksFor(gate.numel(), kThreads * kPackNumbers), kThreads}, gradient.data_ptr(),
           gate.data_ptr(), up.data_ptr(), dgate.data_ptr(), dup.data_ptr(), static_cast<long long>(gate.numel()));
  return {dgate, dup};
}

void mergeAttention_(Tensor& out, Tensor& logSums, const Tensor& rows, const Tensor& partOut_,
                     const Tensor& partSums_) {
  if (!isPacked(out) || !out.is_contiguous() || !logSums.is_contiguous())
    return composite::mergeAttention_(out, logSums, rows, partOut_, partSums_);
  const Tensor partOut = partOut_.contiguous(), partSums = partSums_.contiguous(), places = rows.contiguous();
  const Program program(sources::merge, {definition("X", out.scalar_type())}, out);
  program.run("merge", {rows.size(0), kThreads}, out.data_ptr(), logSums.data_ptr(), places.data_ptr(),
              partOut.data_ptr(), partSums.data_ptr(), static_cast<int>(rows.size(0)), static_cast<int>(out.size(1)),
              static_cast<int>(out.size(2)));
}

// How many logits are read at once: 16 bytes where rows begin at such places.
int64_t logitsAtOnce(const Tensor& logits) {
  const int64_t most = 16 / logits.element_size();
  return logits.size(1) % most == 0 ? most : 1;
}

Program logProbs(const Tensor& logits) {
  return Program(sources::log_probs,
                 {definition("X", logits.scalar_type()), "AT_ONCE=" + std::to_string(logitsAtOnce(logits))}, logits);
}

std::tuple<Tensor, Tensor> targetLogProbs(const Tensor& logits_, const Tensor& targets_) {
  checkTargets(logits_, targets_, "target_log_probs");
  if (!hasType(logits_)) return composite::targetLogProbs(logits_, targets_);
  const Tensor logits = logits_.contiguous(), targets = targets_.contiguous();
  const Tensor found = at::empty({2, logits.size(0)}, logits.options().dtype(at::kFloat)), values = found[0],
               normalisers = found[1];
  logProbs(logits).run("target_log_probs", {logits.size(0), 512}, logits.data_ptr(), targets.data_ptr(),
                       values.data_ptr(), normalisers.data_ptr(), static_cast<int>(logits.size(1)));
  return {values, normalisers};
}

Tensor& logProbGradient_(Tensor& logits, const Tensor& targets, const Tensor& normalisers, const Tensor& coefficients,
                         double softCap) {
  checkTargets(logits, targets, "log_prob_gradient_");
  checkCoefficients(targets, normalisers, coefficients);
  if (!hasType(logits) || !logits.is_contiguous() || !targets.is_contiguous() || !normalisers.is_contiguous() ||
      !coefficients.is_contiguous())
    return composite::logProbGradient_(logits, targets, normalisers, coefficients, softCap);
  const int64_t width = logits.size(1);
  logProbs(logits).run("log_prob_gradient",
                       {logits.size(0), kThreads, blocksFor(width, kThreads * logitsAtOnce(logits))}, logits.data_ptr(),
                       targets.data_ptr(), normalisers.data_ptr(), coefficients.data_ptr(), static_cast<int>(width),
                       static_cast<float>(softCap));
  return logits;
}

}  // namespace
}  // namespace selm::cuda

TORCH_LIBRARY_IMPL(selm, CUDA, library) {
  using namespace selm::cuda;
  library.impl("rms_norm_forward", &rmsNormForward);
  library.impl("rms_norm_backward", &rmsNormBackward);
  library.impl("rotate", &rotate);
  library.impl("gated", &gated);
  library.impl("gated_backward", &gatedBackward);
  library.impl("merge_attention_", &mergeAttention_);
  library.impl("target_log_probs", &targetLogProbs);
  library.impl("log_prob_gradient_", &logProbGradient_);
}
