// Keys and values of sampling, in pages of 16 tokens, and attention of one new token against them.
//
// A page holds 16 tokens of one sequence in one layer. Every key/value head has a block of its own, its keys turned so that
// a vector is one number of 16 tokens (scores of 16 tokens grow side by side), its values as they are (a vector is 16
// numbers of one token):
//
//   keys [page][head]     t0   t1  ...  t15        values [page][head]    d0   d1  ...
//                   d0  | ..   ..       .. |                        t0  | ..   ..     |
//                   d1  | ..   ..       .. |                        t1  | ..   ..     |
//                   ... |                  |                        ... |             |
//
// A sequence is a list of pages: those of its prompt, which other samples of the prompt list too, then its own.
//
//   table      p7  p3  p9 | p1  p4          lengths (37, 20): the last page of the prompt holds 5 tokens, the last
//              prompt     | own             page of its own 4
//
// A sequence is computed by itself, in an order that depends on nothing but its lengths.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "rounding.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

static_assert(kPageTokens == kLanes);

constexpr int kHeads = 4;    // query heads that share what is loaded of a key/value head
constexpr int kVectors = 4;  // vectors of values that are added up at once

// Tokens [from, to) of a page are seen.
struct Page {
  int64_t page;
  int64_t from, to;
};

// The pages of a sequence in which the last `window` of its tokens lie (all of them if it is 0).
void pagesOf(const int64_t* table, int64_t promptTokens, int64_t ownTokens, int64_t window, std::vector<Page>& pages) {
  pages.clear();
  int64_t hidden = window > 0 ? std::max<int64_t>(0, promptTokens + ownTokens - window) : 0;
  for (const int64_t tokens : {promptTokens, ownTokens}) {
    for (int64_t begin = 0; begin < tokens; begin += kPageTokens, table++) {
      const int64_t count = std::min(kPageTokens, tokens - begin), skipped = std::min(hidden, count);
      hidden -= skipped;
      if (skipped < count) pages.push_back({*table, skipped, count});
    }
  }
}

struct Shape {
  int64_t groups, width;
  int64_t block() const { return width * kPageTokens; }
};

struct Rule {
  float scale, softCap;
};

// A key/value head's block of a page, and its block of a page that is read later; null where that is being fetched already, or there is none.
template <typename T>
struct Block {
  const T *numbers, *later;

  // Fetches numbers [from, from + count) of the later block. Whoever reads some of this block fetches the same ones of that: fetched all
  // at once, they would keep the processor until the last of them is asked for.
  void fetch(int64_t from, int64_t count) const {
    constexpr int64_t kLine = 64 / sizeof(T);
    if (later == nullptr) return;
    for (int64_t i = from; i < from + count; i += kLine) __builtin_prefetch(later + i, 0, 2);
  }
};

// Scores of a page, [Heads][room] at its tokens, of `Heads` queries [Heads, width].
template <int Heads, typename T>
void scorePage(const float* q, const Block<T>& keys, const Page& page, int64_t width, int64_t room, const Rule& rule,
               float* scores) {
  const T* block = keys.numbers;
  Float16 sums[Heads][2] = {};
  int64_t d = 0;
  for (; d + 1 < width; d += 2) {
    keys.fetch(d * kPageTokens, 2 * kPageTokens);
    const Float16 even = load(block + d * kPageTokens), odd = load(block + (d + 1) * kPageTokens);
    for (int h = 0; h < Heads; h++) {
      sums[h][0] += even * q[h * width + d];
      sums[h][1] += odd * q[h * width + d + 1];
    }
  }
  if (d < width) {
    for (int h = 0; h < Heads; h++) sums[h][0] += load(block + d * kPageTokens) * q[h * width + d];
  }
  for (int h = 0; h < Heads; h++) {
    Float16 score = (sums[h][0] + sums[h][1]) * rule.scale;
    if (rule.softCap > 0) score = softCapped(score, rule.softCap);
    float* to = scores + h * room;
    store(to, score);
    for (int64_t t = 0; t < page.from; t++) to[t] = -INFINITY;
    for (int64_t t = page.to; t < kPageTokens; t++) to[t] = -INFINITY;
  }
}

// Scores become weights that add up to one.
void normalise(float* scores, int64_t room) {
  Float16 best = splat(-INFINITY);
  for (int64_t i = 0; i < room; i += kLanes) best = maximum(best, load(scores + i));
  const float top = largest(best);
  Float16 sums = splat(0);
  for (int64_t i = 0; i < room; i += kLanes) {
    const Float16 e = exponential(load(scores + i) - top);
    store(scores + i, e);
    sums += e;
  }
  const float inverse = 1.0f / sum(sums);
  for (int64_t i = 0; i < room; i += kLanes) store(scores + i, load(scores + i) * inverse);
}

// out[h][d] += sum over a page's tokens of weights[h][token] * value[token][d], for `Vectors` vectors of numbers from `first` on; `count`
// of the numbers are there. Places without a token are not read: they may hold anything.
template <int Heads, int Vectors, typename T>
void combineVectors(const float* weights, const Block<T>& values, const Page& page, int64_t width, int64_t room,
                    int64_t first, int64_t count, float* out) {
  Float16 sums[Heads][Vectors];
  for (int h = 0; h < Heads; h++) {
    for (int v = 0; v < Vectors; v++) sums[h][v] = load(out + h * width + v * kLanes, count - v * kLanes);
  }
  for (int64_t t = page.from; t < page.to; t++) {
    const int64_t at = t * width + first;
    values.fetch(at, count);
    for (int v = 0; v < Vectors; v++) {
      const Float16 value = load(values.numbers + at + v * kLanes, count - v * kLanes);
      for (int h = 0; h < Heads; h++) sums[h][v] += value * weights[h * room + t];
    }
  }
  for (int h = 0; h < Heads; h++) {
    for (int v = 0; v < Vectors; v++) store(out + h * width + v * kLanes, sums[h][v], count - v * kLanes);
  }
}

template <int Heads, typename T>
void combinePage(const float* weights, const Block<T>& values, const Page& page, int64_t width, int64_t room,
                 float* out) {
  constexpr int64_t kWide = kVectors * kLanes;
  int64_t first = 0;
  for (; first + kWide <= width; first += kWide)
    combineVectors<Heads, kVectors>(weights, values, page, width, room, first, kWide, out + first);
  for (; first < width; first += kLanes)
    combineVectors<Heads, 1>(weights, values, page, width, room, first, std::min<int64_t>(kLanes, width - first),
                             out + first);
}

// Calls body(head, Heads) for `heads` heads, up to four at a time.
template <typename Body>
void forHeads(int64_t heads, Body body) {
  int64_t h = 0;
  for (; h + kHeads <= heads; h += kHeads) body(h, std::integral_constant<int, kHeads>());
  switch (heads - h) {
    case 3:
      return body(h, std::integral_constant<int, 3>());
    case 2:
      return body(h, std::integral_constant<int, 2>());
    case 1:
      return body(h, std::integral_constant<int, 1>());
  }
}

// Attention of one sequence in key/value heads [first, last), `heads` query heads each; page by page, as they lie in memory: all
// keys, then all values. While a block is worked on, the one two pages further on is fetched, across that border too, and at the end the
// first keys of the task that is `next`.
template <typename T>
void attend(const float* q, const T* keys, const T* values, const std::vector<Page>& pages,
            const std::vector<Page>& next, const Shape& shape, int64_t first, int64_t last, int64_t heads,
            const Rule& rule, std::vector<float>& scores, float* out) {
  constexpr size_t kAhead = 2;
  const size_t count = pages.size();
  const auto room = static_cast<int64_t>(count) * kPageTokens;
  scores.resize((last - first) * heads * room);
  // The p-th page of keys, and then of values, and then of the next task's keys; null past the last.
  const auto pageAt = [&](size_t p) -> const T* {
    if (p < count) return keys + pages[p].page * shape.groups * shape.block();
    if (p < 2 * count) return values + pages[p - count].page * shape.groups * shape.block();
    return p < 2 * count + next.size() ? keys + next[p - 2 * count].page * shape.groups * shape.block() : nullptr;
  };
  // Calls body(block, head, Heads, scores) for all heads of the p-th page of a cache, whose first one is page `from` of pageAt.
  const auto forBlocks = [&](const T* cache, size_t p, size_t from, auto body) {
    const T* ahead = pageAt(from + p + kAhead);
    for (int64_t group = first; group < last; group++) {
      Block<T> block{cache + (pages[p].page * shape.groups + group) * shape.block(),
                     ahead == nullptr ? nullptr : ahead + group * shape.block()};
      float* of = scores.data() + (group - first) * heads * room + static_cast<int64_t>(p) * kPageTokens;
      forHeads(heads, [&](int64_t h, auto many) {
        body(block, group * heads + h, many, of + h * room);
        block.later = nullptr;
      });
    }
  };
  for (size_t p = 0; p < count; p++) {
    forBlocks(keys, p, 0, [&](const Block<T>& block, int64_t head, auto many, float* of) {
      scorePage<many()>(q + head * shape.width, block, pages[p], shape.width, room, rule, of);
    });
  }
  for (int64_t h = 0; h < (last - first) * heads; h++) normalise(scores.data() + h * room, room);
  std::fill(out + first * heads * shape.width, out + last * heads * shape.width, 0.0f);
  for (size_t p = 0; p < count; p++) {
    forBlocks(values, p, count, [&](const Block<T>& block, int64_t head, auto many, const float* of) {
      combinePage<many()>(of, block, pages[p], shape.width, room, out + head * shape.width);
    });
  }
}

template <typename Body>
void forCacheTypes(const at::Tensor& keys, Body body) {
  if (keys.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    TORCH_CHECK(keys.scalar_type() == at::kBFloat16, "paged_attention: pages are fp32 or bf16, got ",
                keys.scalar_type());
    body(static_cast<c10::BFloat16*>(nullptr));
  }
}

at::Tensor pagedAttention(const at::Tensor& q_, const at::Tensor& keys, const at::Tensor& values,
                          const at::Tensor& tables_, const at::Tensor& lengths_, double scale, int64_t window,
                          double softCap) {
  checkPagedAttention(q_, keys, values, tables_, lengths_);
  if (q_.scalar_type() != at::kFloat)
    return composite::pagedAttention(q_, keys, values, tables_, lengths_, scale, window, softCap);
  const at::Tensor q = q_.contiguous(), tables = tables_.contiguous(), lengths = lengths_.contiguous();
  const int64_t batch = q.size(0), headCount = q.size(1), perTable = tables.size(1);
  const Shape shape{keys.size(1), q.size(2)};
  const int64_t heads = headCount / shape.groups;
  const Rule rule{static_cast<float>(scale), static_cast<float>(softCap)};
  const int64_t *table = tables.data_ptr<int64_t>(), *length = lengths.data_ptr<int64_t>();
  checkPages(table, length, batch, perTable, keys.size(0));
  at::Tensor out = at::empty_like(q);
  const float* from = q.data_ptr<float>();
  float* to = out.data_ptr<float>();
  forCacheTypes(keys, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *keyData = keys.data_ptr<T>(), *valueData = values.data_ptr<T>();
    // A sequence is a task, so that its pages are read as they lie; of few sequences, each of its heads is one.
    const int64_t parts = batch >= 2 * at::get_num_threads() ? 1 : shape.groups, groups = shape.groups / parts;
    const int64_t work = perTable * kPageTokens * shape.width * heads * groups;
    shareRanges(parts * batch, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work)),
                [&](int64_t begin, int64_t end) {
                  std::vector<Page> pages, next;
                  std::vector<float> scores;
                  const auto pagesOfTask = [&](int64_t task, std::vector<Page>& to) {
                    const int64_t b = task / parts;
                    pagesOf(table + b * perTable, length[b * 2], length[b * 2 + 1], window, to);
                  };
                  pagesOfTask(begin, next);
                  for (int64_t task = begin; task < end; task++) {
                    const int64_t first = task % parts * groups, at = task / parts * headCount * shape.width;
                    pages.swap(next);
                    next.clear();
                    if (task + 1 < end) pagesOfTask(task + 1, next);
                    attend(from + at, keyData, valueData, pages, next, shape, first, first + groups, heads, rule,
                           scores, to + at);
                  }
                });
  });
  return out;
}

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
  library.impl("paged_attention", &selm::pagedAttention);
  library.impl("write_pages", &selm::writePages);
  library.impl("read_pages", &selm::readPages);
  library.impl("place_heads", &selm::placeHeads);
}
