// What goes to the pages (pages.h has their picture) and is read from them: keys and values as they are, and heads of new tokens rotated on
// the way.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "pages.h"
#include "rounding.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

void writePages(at::Tensor& keys, at::Tensor& values, const at::Tensor& k_, const at::Tensor& v_,
                const at::Tensor& places_) {
  checkWritePages(keys, values, k_, v_, places_);
  if (k_.scalar_type() != at::kFloat) return composite::writePages(keys, values, k_, v_, places_);
  const at::Tensor k = k_.contiguous(), v = v_.contiguous(), places = places_.contiguous();
  const int64_t tokens = k.size(0), groups = k.size(1), width = k.size(2), room = keys.size(0) * kPageTokens;
  const int64_t* place = places.data_ptr<int64_t>();
  for (int64_t t = 0; t < tokens; t++)
    TORCH_CHECK(place[t] >= 0 && place[t] < room, "write_pages: place ", place[t], " of ", room);
  const float *fromKeys = k.data_ptr<float>(), *fromValues = v.data_ptr<float>();
  forCacheTypes(keys, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T *toKeys = keys.data_ptr<T>(), *toValues = values.data_ptr<T>();
    shareRanges(tokens, std::max<int64_t>(1, 32768 / (groups * width)), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        const int64_t page = place[t] / kPageTokens, token = place[t] % kPageTokens;
        for (int64_t g = 0; g < groups; g++) {
          const int64_t block = (page * groups + g) * width * kPageTokens, from = (t * groups + g) * width;
          for (int64_t d = 0; d < width; d++)
            toKeys[block + d * kPageTokens + token] = static_cast<T>(fromKeys[from + d]);
          for (int64_t d = 0; d < width; d++)
            toValues[block + token * width + d] = static_cast<T>(fromValues[from + d]);
        }
      }
    });
  });
}

// One head rotated: numbers i and i + half of x turn by the angle i. Result(i, number) takes them, sixteen at a time.
template <typename Result>
void rotateHead(const float* x, const float* cos, const float* sin, int64_t half, Result result) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i;
    const Float16 a = load(x + i, left), b = load(x + half + i, left), c = load(cos + i, left), s = load(sin + i, left);
    result(i, a * c - b * s, std::min<int64_t>(left, kLanes));
    result(half + i, b * c + a * s, std::min<int64_t>(left, kLanes));
  }
}

at::Tensor placeHeads(const at::Tensor& q_, const at::Tensor& k_, const at::Tensor& v_, const at::Tensor& cos_,
                      const at::Tensor& sin_, at::Tensor& keys, at::Tensor& values, const at::Tensor& places_,
                      at::ScalarType type) {
  checkRotary(q_, cos_, sin_);
  checkWritePages(keys, values, k_, v_, places_);
  TORCH_CHECK(q_.scalar_type() == at::kFloat && k_.scalar_type() == at::kFloat && v_.scalar_type() == at::kFloat &&
                  q_.size(2) == k_.size(2) && q_.size(0) == k_.size(0),
              "place_heads: q ", q_.sizes(), ", k ", k_.sizes(), " and v must be fp32, of the same tokens and width");
  const at::Tensor q = q_.contiguous(), k = k_.contiguous(), v = v_.contiguous(), cos = cos_.contiguous(),
                   sin = sin_.contiguous(), places = places_.contiguous();
  const int64_t tokens = q.size(0), heads = q.size(1), groups = k.size(1), width = q.size(2), half = width / 2,
                room = keys.size(0) * kPageTokens;
  const int64_t* place = places.data_ptr<int64_t>();
  for (int64_t t = 0; t < tokens; t++)
    TORCH_CHECK(place[t] >= 0 && place[t] < room, "place_heads: place ", place[t], " of ", room);
  const at::Tensor out = at::empty(q.sizes(), q.options().dtype(type));
  const auto run = [&](auto* query, auto* page) {
    using Q = std::remove_pointer_t<decltype(query)>;
    using T = std::remove_pointer_t<decltype(page)>;
    Q* to = out.data_ptr<Q>();
    T *toKeys = keys.data_ptr<T>(), *toValues = values.data_ptr<T>();
    const float *queries = q.data_ptr<float>(), *newKeys = k.data_ptr<float>(), *newValues = v.data_ptr<float>(),
                *cosines = cos.data_ptr<float>(), *sines = sin.data_ptr<float>();
    shareRanges(tokens, std::max<int64_t>(1, 32768 / ((heads + 2 * groups) * width)), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        const float *c = cosines + t * half, *s = sines + t * half;
        for (int64_t h = 0; h < heads; h++) {
          const int64_t at = (t * heads + h) * width;
          rotateHead(queries + at, c, s, half,
                     [&](int64_t i, Float16 value, int64_t count) { storeNormal(to + at + i, value, count); });
        }
        for (int64_t g = 0; g < groups; g++) {
          const int64_t from = (t * groups + g) * width, token = place[t] % kPageTokens;
          const int64_t block = (place[t] / kPageTokens * groups + g) * width * kPageTokens;
          rotateHead(newKeys + from, c, s, half, [&](int64_t i, Float16 value, int64_t count) {
            T numbers[kLanes];
            storeNormal(numbers, value);
            for (int64_t n = 0; n < count; n++) toKeys[block + (i + n) * kPageTokens + token] = numbers[n];
          });
          const float* value = newValues + from;
          for (int64_t d = 0; d < width; d += kLanes)
            storeNormal(toValues + block + token * width + d, load(value + d, width - d), width - d);
        }
      }
    });
  };
  forCacheTypes(keys, [&](auto* page) {
    if (type == at::kFloat) return run(static_cast<float*>(nullptr), page);
    TORCH_CHECK(type == at::kBFloat16, "place_heads: queries become fp32 or bf16, not ", type);
    run(static_cast<c10::BFloat16*>(nullptr), page);
  });
  return out;
}

std::tuple<at::Tensor, at::Tensor> readPages(const at::Tensor& keys, const at::Tensor& values,
                                             const at::Tensor& places_) {
  checkReadPages(keys, values, places_);
  if (keys.scalar_type() == at::kDouble) return composite::readPages(keys, values, places_);
  const at::Tensor places = places_.contiguous();
  const int64_t tokens = places.size(0), groups = keys.size(1), width = keys.size(2), room = keys.size(0) * kPageTokens;
  const int64_t* place = places.data_ptr<int64_t>();
  for (int64_t t = 0; t < tokens; t++)
    TORCH_CHECK(place[t] >= 0 && place[t] < room, "read_pages: place ", place[t], " of ", room);
  at::Tensor k = at::empty({tokens, groups, width}, keys.options()), v = at::empty_like(k);
  forCacheTypes(keys, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *fromKeys = keys.data_ptr<T>(), *fromValues = values.data_ptr<T>();
    T *toKeys = k.data_ptr<T>(), *toValues = v.data_ptr<T>();
    shareRanges(tokens, std::max<int64_t>(1, 32768 / (groups * width)), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        const int64_t page = place[t] / kPageTokens, token = place[t] % kPageTokens;
        for (int64_t g = 0; g < groups; g++) {
          const int64_t block = (page * groups + g) * width * kPageTokens, to = (t * groups + g) * width;
          for (int64_t d = 0; d < width; d++) toKeys[to + d] = fromKeys[block + d * kPageTokens + token];
          std::copy_n(fromValues + block + token * width, width, toValues + to);
        }
      }
    });
  });
  return {k, v};
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("write_pages", &selm::writePages);
  library.impl("read_pages", &selm::readPages);
  library.impl("place_heads", &selm::placeHeads);
}
