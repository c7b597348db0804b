// Sampling's operators on NVIDIA cards. Packed weights are the weights as they are (composite.cc: packRows), so that a product reads them where
// they lie. Nothing here asks the host what the card computed.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "../checks.h"
#include "../composite.h"
#include "../philox.h"
#include "compiler.h"
#include "cuda_sources.h"
#include "launches.h"

namespace selm::cuda {
namespace {

using at::Tensor;

// What a block of threads holds of the query heads of a key head. paged_attention.cu puts 20 bytes for each number and 288 for each head
// into the 48 KiB that a block has without asking.
constexpr int64_t kMostOfGroup = 2048, kMostHeads = 16;

// Panels as the matrix [outputs, inputs] that they are.
Tensor matrixOf(const Tensor& packed) { return packed.transpose(1, 2).reshape({-1, packed.size(1)}); }

bool isBf16(const Tensor& packed, std::string_view arithmetic) {
  return arithmetic != "float32" && packed.scalar_type() == at::kBFloat16;
}

// x times a matrix, transposed: factors in bf16, sums and result in fp32.
Tensor product(const Tensor& x, const Tensor& matrix) { return at::mm(x.to(at::kBFloat16), matrix.t(), at::kFloat); }

std::vector<Tensor> rowLinears(const Tensor& x, const Tensor& packed, at::IntArrayRef outputs,
                               const std::optional<Tensor>& bias, std::string_view arithmetic) {
  checkRowLinears(x, packed, outputs, bias);
  if (!isBf16(packed, arithmetic)) return composite::rowLinears(x, packed, outputs, bias, arithmetic);
  // One product for all; each part begins with a panel of its own.
  const Tensor all = product(x, matrixOf(packed));
  std::vector<Tensor> parts;
  int64_t first = 0, firstBias = 0;
  for (const int64_t count : outputs) {
    const Tensor part = all.narrow(1, first, count);
    parts.push_back(bias.has_value() && bias->defined() ? part + bias->narrow(0, firstBias, count) : part);
    first += panelsFor(count) * kPanel;
    firstBias += count;
  }
  return parts;
}

Tensor rowLinear(const Tensor& x, const Tensor& packed, int64_t outputs, const std::optional<Tensor>& bias,
                 std::string_view arithmetic) {
  return rowLinears(x, packed, {outputs}, bias, arithmetic)[0];
}

Tensor& addRowLinear_(Tensor& sum, const Tensor& x, const Tensor& packed, const std::optional<Tensor>& bias,
                      std::string_view arithmetic) {
  const int64_t outputs = sum.size(1);
  checkRowLinears(x, packed, {outputs}, bias);
  if (!isBf16(packed, arithmetic)) return sum.add_(composite::rowLinear(x, packed, outputs, bias, arithmetic));
  const Tensor factor = x.to(at::kBFloat16), weight = matrixOf(packed).narrow(0, 0, outputs).t();
  at::addmm_outf(sum, factor, weight, at::kFloat, 1, 1, sum);
  if (bias.has_value() && bias->defined()) sum.add_(*bias);
  return sum;
}

Tensor rowGated(const Tensor& x, const Tensor& packed, int64_t outputs, std::string_view activation,
                std::string_view arithmetic) {
  checkRowLinears(x, packed, {outputs, outputs}, std::nullopt);
  if (!isBf16(packed, arithmetic) || outputs % kPackNumbers != 0)
    return composite::rowGated(x, packed, outputs, activation, arithmetic);
  const Tensor both = product(x, matrixOf(packed)),
               y = at::empty({x.size(0), outputs}, x.options().dtype(at::kBFloat16));
  const int64_t upFirst = panelsFor(outputs) * kPanel;
  const Program program(sources::gates, {"X=float", "Y=bf16", activation == "silu" ? "GELU=0" : "GELU=1"}, both);
  program.run("gated", {x.size(0), kThreads, blocksFor(outputs, kThreads * kPackNumbers)}, both.data_ptr(),
              static_cast<void*>(both.data_ptr<float>() + upFirst), y.data_ptr(), static_cast<int>(outputs),
              static_cast<long long>(both.size(1)));
  return y;
}

// In bf16 where the next product reads it so.
Tensor rmsNormOperand(const Tensor& x_, const Tensor& weight_, double epsilon, std::string_view arithmetic) {
  checkRmsNorm(x_, weight_);
  if (arithmetic == "float32" || x_.scalar_type() != at::kFloat || x_.size(-1) % kPackNumbers != 0)
    return std::get<0>(composite::rmsNormForward(x_, weight_, epsilon));
  const Tensor x = x_.contiguous(), weight = weight_.to(at::kFloat).contiguous();
  const Tensor y = at::empty(x.sizes(), x.options().dtype(at::kBFloat16));
  const int64_t width = x.size(-1);
  const Program program(sources::norms, {"X=float", "Y=bf16"}, x);
  program.run("rms_norm", {x.numel() / width, kThreads}, x.data_ptr(), weight.data_ptr(), y.data_ptr(),
              static_cast<void*>(nullptr), static_cast<int>(width), static_cast<float>(epsilon));
  return y;
}

Tensor placeHeads(const Tensor& q_, const Tensor& k_, const Tensor& v_, const Tensor& cos, const Tensor& sin,
                  Tensor& keys, Tensor& values, const Tensor& places, at::ScalarType type) {
  checkRotary(q_, cos, sin);
  checkWritePages(keys, values, k_, v_, places);
  const bool isKnown = q_.scalar_type() == at::kFloat && k_.scalar_type() == at::kFloat &&
                       v_.scalar_type() == at::kFloat && hasType(keys) &&
                       (type == at::kFloat || type == at::kBFloat16) && keys.is_contiguous() && values.is_contiguous();
  if (!isKnown) return composite::placeHeads(q_, k_, v_, cos, sin, keys, values, places, type);
  const Tensor q = withHeadsTogether(q_), k = withHeadsTogether(k_), v = withHeadsTogether(v_),
               cosines = cos.contiguous(), sines = sin.contiguous();
  const Tensor out = at::empty(q.sizes(), q.options().dtype(type)), at = places.contiguous();
  const Program program(sources::heads, {"X=float", definition("Y", type), definition("P", keys.scalar_type())}, q);
  program.run("place_heads", {q.size(0), kThreads}, q.data_ptr(), k.data_ptr(), v.data_ptr(), cosines.data_ptr(),
              sines.data_ptr(), keys.data_ptr(), values.data_ptr(), at.data_ptr(), out.data_ptr(),
              static_cast<int>(q.size(1)), static_cast<int>(k.size(1)), static_cast<int>(q.size(2) / 2), q.stride(0),
              k.stride(0), v.stride(0));
  return out;
}

Tensor pagedAttention(const Tensor& q_, const Tensor& keys, const Tensor& values, const Tensor& tables_,
                      const Tensor& lengths_, double scale, int64_t window, double softCap) {
  checkPagedAttention(q_, keys, values, tables_, lengths_);
  const int64_t width = q_.size(2), group = q_.size(1) / keys.size(1);
  const bool isKnown = q_.scalar_type() == at::kFloat && hasType(keys) && width % 32 == 0 && group <= kMostHeads &&
                       group * width <= kMostOfGroup && keys.is_contiguous() && values.is_contiguous();
  // A lane reads 1, 2, 4 or 8 numbers of a head at once.
  if (!isKnown || (width & (width - 1)) != 0 || width > 256)
    return composite::pagedAttention(q_, keys, values, tables_, lengths_, scale, window, softCap);
  const Tensor q = q_.contiguous(), tables = tables_.contiguous(), lengths = lengths_.contiguous(),
               out = at::empty_like(q);
  const Program program(
      sources::paged_attention,
      {"WIDTH=" + std::to_string(width), "GROUP=" + std::to_string(group), definition("P", keys.scalar_type())}, q);
  program.run("paged_attention", {q.size(0), 128, keys.size(1)}, q.data_ptr(), keys.data_ptr(), values.data_ptr(),
              tables.data_ptr(), lengths.data_ptr(), out.data_ptr(), static_cast<int>(tables.size(1)),
              static_cast<float>(scale), static_cast<int>(window), static_cast<float>(softCap));
  return out;
}

Tensor uniforms(const Tensor& keys_, const Tensor& counters_) {
  checkUniforms(keys_, counters_);
  const Tensor keys = keys_.contiguous(), counters = counters_.contiguous(),
               numbers = at::empty(counters.sizes(), counters.options().dtype(at::kDouble));
  const int64_t rows = counters.size(0);
  const Program program(sources::uniforms, {}, keys);
  program.run("uniforms", {blocksFor(rows, kThreads), kThreads}, keys.data_ptr(), counters.data_ptr(),
              numbers.data_ptr(), static_cast<int>(rows));
  return numbers;
}

std::tuple<Tensor, Tensor> sampleTokens(const Tensor& logits_, double temperature, int64_t topK, double topP,
                                        const Tensor& uniforms_) {
  checkSampling(logits_, temperature, topP, uniforms_.numel());
  const bool isFiltered = temperature > 0 && (topK > 0 || topP < 1);
  if (isFiltered || !hasType(logits_)) return composite::sampleTokens(logits_, temperature, topK, topP, uniforms_);
  const Tensor logits = logits_.contiguous(), uniforms = uniforms_.contiguous();
  const Tensor ids = at::empty({logits.size(0)}, logits.options().dtype(at::kLong)),
               logProbs = at::empty_like(ids, at::kDouble);
  const Program program(sources::sample, {definition("X", logits.scalar_type())}, logits);
  program.run("sample", {logits.size(0), 1024}, logits.data_ptr(), uniforms.data_ptr(), ids.data_ptr(),
              logProbs.data_ptr(), static_cast<int>(logits.size(1)),
              static_cast<float>(temperature > 0 ? 1 / temperature : 0));
  return {ids, logProbs};
}

}  // namespace
}  // namespace selm::cuda

TORCH_LIBRARY_IMPL(selm, CUDA, library) {
  using namespace selm::cuda;
  library.impl("row_linear", &rowLinear);
  library.impl("row_linears", &rowLinears);
  library.impl("add_row_linear_", &addRowLinear_);
  library.impl("row_gated", &rowGated);
  library.impl("rms_norm_operand", &rmsNormOperand);
  library.impl("place_heads", &placeHeads);
  library.impl("paged_attention", &pagedAttention);
  library.impl("uniforms", &uniforms);
  library.impl("sample_tokens", &sampleTokens);
}
