// Sampling's operators said in LibTorch's own. Nothing here asks the host what a device has computed.
#include <torch/library.h>

#include "checks.h"
#include "composite.h"
#include "philox.h"

namespace selm::composite {
namespace {

at::Tensor rmsNormOperand(const at::Tensor& x, const at::Tensor& weight, double eps, std::string_view) {
  return rmsNorm(x, weight, eps);
}

at::Tensor& addRowLinear_(at::Tensor& sum, const at::Tensor& x, const at::Tensor& packed,
                          const std::optional<at::Tensor>& bias, std::string_view arithmetic) {
  return sum.add_(rowLinear(x, packed, sum.size(1), bias, arithmetic));
}

// The first of the largest of each row [B, V]; where one is no number, the last.
at::Tensor firstLargest(const at::Tensor& rows, const at::Tensor& largest) {
  const int64_t last = rows.size(1) - 1;
  return at::where(rows == largest, at::arange(last + 1, rows.options().dtype(at::kLong)), last).amin(1);
}

// The first place of each row of ends [B, V], sums that grow, that lies above a share of `total` [B, 1].
at::Tensor placeOf(const at::Tensor& ends, const at::Tensor& shares, const at::Tensor& total) {
  return at::searchsorted(ends, shares * total, /*out_int32=*/false, /*right=*/true);
}

at::Tensor drawAny(const at::Tensor& weights, const at::Tensor& uniforms) {
  const at::Tensor ends = weights.to(at::kDouble).cumsum(1);
  return placeOf(ends, uniforms, ends.narrow(1, ends.size(1) - 1, 1)).clamp_max(ends.size(1) - 1).squeeze(1);
}

// Of the top k and of the nucleus: the fewest of the largest weights that reach a share topP, the one that crosses it
// included.
at::Tensor drawFiltered(const at::Tensor& weights, int64_t topK, double topP, const at::Tensor& uniforms) {
  const auto [sorted, order] = weights.sort(/*stable=*/true, 1, /*descending=*/true);
  const int64_t width = weights.size(1), most = topK > 0 ? std::min(topK, width) : width;
  const at::Tensor largest = sorted.narrow(1, 0, most).to(at::kDouble), ends = largest.cumsum(1);
  at::Tensor count = at::full({weights.size(0), 1}, most, order.options());
  if (topP < 1) {
    const at::Tensor mass = ends.narrow(1, most - 1, 1);
    count = (ends - largest < mass * topP).sum(1, true).clamp_min(1);
  }
  const at::Tensor place = placeOf(ends, uniforms, ends.gather(1, count - 1));
  return order.gather(1, at::minimum(place, count - 1)).squeeze(1);
}

at::Tensor uniforms(const at::Tensor& keys, const at::Tensor& counters) {
  checkUniforms(keys, counters);
  const auto word = [&](int64_t i) { return keys.select(1, i); };
  const at::Tensor low = counters.bitwise_and(0xffffffffLL), high = counters.bitwise_right_shift(32);
  const auto words = philoxBlocks({low, high, word(2), word(3)}, {word(0), word(1)});
  const at::Tensor bits = words[0].bitwise_right_shift(5) * 0x4000000 + words[1].bitwise_right_shift(6);
  return bits.to(at::kDouble) / static_cast<double>(0x20000000000000);
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> sampleTokens(const at::Tensor& logits_, double temperature, int64_t topK,
                                                double topP, const at::Tensor& uniforms_) {
  checkSampling(logits_, temperature, topP, uniforms_.numel());
  const at::Tensor logits = logits_.to(at::kFloat), top = logits.amax(1, true), shifted = logits - top;
  const at::Tensor total = shifted.exp().sum(1, true, at::kDouble);
  at::Tensor ids = firstLargest(logits, top);
  if (temperature > 0) {
    const at::Tensor weights = (shifted * static_cast<float>(1 / temperature)).exp();
    const at::Tensor uniforms = uniforms_.unsqueeze(1);
    ids = topK <= 0 && topP >= 1 ? drawAny(weights, uniforms) : drawFiltered(weights, topK, topP, uniforms);
  }
  const at::Tensor chosen = shifted.gather(1, ids.unsqueeze(1)).to(at::kDouble);
  return {ids, (chosen - total.log()).squeeze(1)};
}

at::Tensor placeHeads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& cos,
                      const at::Tensor& sin, at::Tensor& keys, at::Tensor& values, const at::Tensor& places,
                      at::ScalarType type) {
  writePages(keys, values, rotary(k, cos, sin), v, places);
  return rotary(q, cos, sin).to(type);
}

// Pages are gathered by the tables, and what a sequence does not see is masked.
at::Tensor pagedAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                          const at::Tensor& tables, const at::Tensor& lengths, double scale, int64_t window,
                          double softCap) {
  checkPagedAttention(q, keys, values, tables, lengths);
  const int64_t batch = q.size(0), groups = keys.size(1), width = q.size(2), room = tables.size(1) * kPageTokens;
  const at::Tensor pages = tables.clamp(0, keys.size(0) - 1).flatten();
  // [pages, 16, K, d] to [B, K, N, d]
  const auto seen = [&](const at::Tensor& tokens) {
    return tokens.index_select(0, pages).view({batch, room, groups, width}).transpose(1, 2).to(q.scalar_type());
  };
  const at::Tensor allKeys = seen(keys.permute({0, 3, 1, 2})), allValues = seen(values.permute({0, 2, 1, 3}));

  const at::Tensor prompt = lengths.narrow(1, 0, 1), own = lengths.narrow(1, 1, 1);
  const at::Tensor promptRoom = (prompt + (kPageTokens - 1)).floor_divide(kPageTokens) * kPageTokens;
  const at::Tensor place = at::arange(room, lengths.options()).unsqueeze(0), ownPlace = place - promptRoom;
  at::Tensor isSeen = at::where(ownPlace < 0, place < prompt, ownPlace < own);
  if (window > 0) {
    const at::Tensor position = at::where(ownPlace < 0, place, prompt + ownPlace);
    isSeen = isSeen & (position >= prompt + own - window);
  }
  at::Tensor scores = q.view({batch, groups, -1, width}).matmul(allKeys.transpose(2, 3)) * scale;
  if (softCap > 0) scores = at::tanh(scores / softCap) * softCap;
  const at::Tensor isHidden = ~isSeen.view({batch, 1, 1, room});
  scores = scores.masked_fill(isHidden, -INFINITY);
  // What nothing was written to may be no number, and zero times that is none either.
  return scores.softmax(-1).matmul(allValues.masked_fill(isHidden.transpose(2, 3), 0)).view(q.sizes());
}

}  // namespace selm::composite

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  using namespace selm::composite;
  library.impl("rms_norm_operand", &rmsNormOperand);
  library.impl("place_heads", &placeHeads);
  library.impl("add_row_linear_", &addRowLinear_);
  library.impl("paged_attention", &pagedAttention);
  library.impl("uniforms", &uniforms);
  library.impl("sample_tokens", &sampleTokens);
}
