// Sampling's own kernels: attention of one new token against a cache, and the choice of a token. Each row is computed by
// itself, in an order that depends on nothing but its own length: who shares the batch cannot change a response.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <numeric>
#include <vector>

#include "../checks.h"
#include "../composite.h"
#include "vector.h"

namespace selm {
namespace {

struct Keys {
  const float* keys;
  const float* values;
  int64_t count;
};

// The order of additions is written out, never left to a vectoriser that may peel a loop by where a pointer happens to lie.
float dot(const float* a, const float* b, int64_t n) {
  const int64_t whole = n / kLanes * kLanes;
  Float16 sums = splat(0);
  for (int64_t i = 0; i < whole; i += kLanes) sums += load(a + i) * load(b + i);
  float total = whole > 0 ? sum(sums) : 0;
  for (int64_t i = whole; i < n; i++) total += a[i] * b[i];
  return total;
}

// One query head against the prefix's keys and its own; `scores` has room for all of them, rounded up to whole vectors.
void attend(const float* q, const Keys (&parts)[2], int64_t stride, int64_t width, float scale, float softCap, float* scores, float* out) {
  const int64_t count = parts[0].count + parts[1].count;
  int64_t n = 0;
  for (const Keys& part : parts) {
    for (int64_t i = 0; i < part.count; i++, n++) scores[n] = dot(q, part.keys + i * stride, width) * scale;
  }
  if (softCap > 0) {
    for (int64_t i = 0; i < count; i += kLanes) store(scores + i, softCapped(load(scores + i), softCap));
  }
  float top = -INFINITY;
  for (int64_t i = 0; i < count; i++) top = scores[i] > top ? scores[i] : top;
  for (int64_t i = count; i % kLanes != 0; i++) scores[i] = -INFINITY;
  Float16 sums = splat(0);
  for (int64_t i = 0; i < count; i += kLanes) {
    const Float16 e = exponential(load(scores + i) - top);
    store(scores + i, e);
    sums += e;
  }
  const float inverse = 1.0f / sum(sums);
  std::fill(out, out + width, 0.0f);
  n = 0;
  for (const Keys& part : parts) {
    for (int64_t i = 0; i < part.count; i++, n++) {
      const float weight = scores[n] * inverse;
      const float* value = part.values + i * stride;
      for (int64_t d = 0; d < width; d++) out[d] += weight * value[d];
    }
  }
}

// The last `window` keys of both parts.
void narrow(Keys (&parts)[2], int64_t window, int64_t stride) {
  int64_t hidden = std::max<int64_t>(0, parts[0].count + parts[1].count - window);
  for (Keys& part : parts) {
    const int64_t skip = std::min(hidden, part.count);
    part = {part.keys + skip * stride, part.values + skip * stride, part.count - skip};
    hidden -= skip;
  }
}

struct Candidate {
  float probability;
  int64_t id;
};
// Heap order: the largest probability on top, the smaller id first among equals.
bool later(const Candidate& a, const Candidate& b) {
  return a.probability < b.probability || (a.probability == b.probability && a.id > b.id);
}

int64_t draw(const std::vector<Candidate>& kept, double uniform) {
  double total = 0;
  for (const Candidate& c : kept) total += c.probability;
  double left = uniform * total;
  for (const Candidate& c : kept) {
    left -= c.probability;
    if (left < 0) return c.id;
  }
  return kept.back().id;  // rounding at the very end of the range
}

int64_t sampleRow(const float* logits, int64_t width, double temperature, int64_t topK, double topP, double uniform, double* logProb) {
  int64_t best = 0;
  for (int64_t i = 1; i < width; i++) best = logits[i] > logits[best] ? i : best;
  const float top = logits[best];
  double total = 0;
  for (int64_t i = 0; i < width; i++) total += std::exp(logits[i] - top);
  TORCH_CHECK(std::isfinite(top) && std::isfinite(total), "sample_tokens: the logits of a row are not finite");
  int64_t chosen = best;
  if (temperature > 0) {
    std::vector<Candidate> candidates(width);
    double mass = 0;
    for (int64_t i = 0; i < width; i++) {
      candidates[i] = {static_cast<float>(std::exp((logits[i] - top) / temperature)), i};
      mass += candidates[i].probability;
    }
    if (topK <= 0 && topP >= 1) {
      chosen = draw(candidates, uniform);
    } else {
      // Largest first, until k tokens or the nucleus' mass is reached (the token that crosses it belongs to it).
      std::make_heap(candidates.begin(), candidates.end(), later);
      std::vector<Candidate> kept;
      const size_t limit = topK > 0 ? static_cast<size_t>(std::min(topK, width)) : static_cast<size_t>(width);
      if (topK > 0 && topP < 1) {  // the nucleus is a share of what top-k leaves
        std::vector<Candidate> copy(candidates);
        mass = 0;
        for (size_t k = 0; k < limit; k++) {
          std::pop_heap(copy.begin(), copy.end(), later);
          mass += copy.back().probability;
          copy.pop_back();
        }
      }
      double covered = 0;
      while (kept.size() < limit && (kept.empty() || covered < topP * mass)) {
        std::pop_heap(candidates.begin(), candidates.end(), later);
        kept.push_back(candidates.back());
        covered += candidates.back().probability;
        candidates.pop_back();
      }
      chosen = draw(kept, uniform);
    }
  }
  *logProb = static_cast<double>(logits[chosen]) - top - std::log(total);
  return chosen;
}

at::Tensor decodeAttention(const at::Tensor& q_, const at::Tensor& prefixKeys, const at::Tensor& prefixValues, const at::Tensor& keys,
                           const at::Tensor& values, at::IntArrayRef layout, double scale, int64_t window, double softCap) {
  const at::Tensor q = q_.contiguous();
  const int64_t batch = q.size(0), headCount = q.size(1), width = q.size(2), groups = keys.size(2), stride = groups * width;
  const int64_t longest = checkDecodeAttention(q, prefixKeys, prefixValues, keys, values, layout);
  if (q.scalar_type() != at::kFloat)
    return composite::decodeAttention(q, prefixKeys, prefixValues, keys, values, layout, scale, window, softCap);
  at::Tensor out = at::empty_like(q);
  const float *qData = q.data_ptr<float>(), *pk = prefixKeys.data_ptr<float>(), *pv = prefixValues.data_ptr<float>();
  const float *ok = keys.data_ptr<float>(), *ov = values.data_ptr<float>();
  float* outData = out.data_ptr<float>();
  const int64_t prefixSize = prefixKeys.size(1) * stride, ownSize = keys.size(1) * stride, perGroup = headCount / groups;
  at::parallel_for(0, batch * headCount, std::max<int64_t>(1, 131072 / std::max<int64_t>(1, longest * width)), [&](int64_t begin, int64_t end) {
    std::vector<float> scores(longest + kLanes);
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / headCount, h = task % headCount, at = h / perGroup * width;
      const int64_t* l = layout.data() + b * 4;
      Keys parts[2] = {{pk + l[0] * prefixSize + at, pv + l[0] * prefixSize + at, l[1]},
                       {ok + l[2] * ownSize + at, ov + l[2] * ownSize + at, l[3]}};
      if (window > 0) narrow(parts, window, stride);
      attend(qData + task * width, parts, stride, width, static_cast<float>(scale), static_cast<float>(softCap), scores.data(),
             outData + task * width);
    }
  });
  return out;
}

std::tuple<at::Tensor, at::Tensor> sampleTokens(const at::Tensor& logits_, double temperature, int64_t topK, double topP,
                                                at::ArrayRef<double> uniforms) {
  checkSampling(logits_, temperature, topP, uniforms.size());
  const at::Tensor logits = logits_.to(at::kFloat).contiguous();
  at::Tensor ids = at::empty({logits.size(0)}, logits.options().dtype(at::kLong));
  at::Tensor logProbs = at::empty({logits.size(0)}, logits.options().dtype(at::kDouble));
  const float* data = logits.data_ptr<float>();
  int64_t* idData = ids.data_ptr<int64_t>();
  double* logProbData = logProbs.data_ptr<double>();
  const int64_t width = logits.size(1);
  at::parallel_for(0, logits.size(0), std::max<int64_t>(1, 32768 / width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      idData[row] = sampleRow(data + row * width, width, temperature, topK, topP, uniforms[row], logProbData + row);
    }
  });
  return {ids, logProbs};
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  library.impl("decode_attention", &selm::decodeAttention);
  library.impl("sample_tokens", &selm::sampleTokens);
}
