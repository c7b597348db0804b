// Attention of one new token against a cache. Each row is computed by itself, in an order that depends on nothing but its own
// length: who shares the batch cannot change a response.
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

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  library.impl("decode_attention", &selm::decodeAttention);
}
