// Attention of one new token of each sequence against its pages (pages.h has their picture). A sequence is computed by itself, in an order
// that depends on nothing but its lengths.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "pages.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

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

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (selm::hasCpuKernels()) library.impl("paged_attention", &selm::pagedAttention);
}
