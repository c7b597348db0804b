// Attention over prompt trees packed in one stream: the prompt is computed once, every continuation attends to it and to
// itself, and nothing is computed that a mask would throw away. One task is one tree and one key head; inside, the lanes
// of a vector are sixteen keys, and a few queries share every load. Their scores are all that is kept: memory is
// linear in the length. A tree's numbers do not depend on the other trees of its stream.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "panels.h"
#include "team.h"
#include "tree_attention_tiles.h"

namespace selm {
namespace {

// Queries a block: they share every load of keys and values, and their sums stay in registers, of which AVX-512 has more.
#if defined(__AVX512F__)
constexpr int64_t kQueries = 6;
#else
constexpr int64_t kQueries = 4;
#endif

// Keys or values of one tree and one head with the lanes along the tokens: [d, room]. The room past the end holds zeros, and
// is an odd number of vectors: rows of a power of two would all lie in the same few places of the cache.
struct Columns {
  int64_t width, room;
  std::vector<float> data;
  Columns(int64_t width_, int64_t tokens)
      : width(width_), room(padded(tokens) + 3 * kLanes), data(width * room, 0.0f) {}
  const float* row(int64_t d) const { return data.data() + d * room; }
  template <typename T>
  void fill(const T* x, int64_t tokens, int64_t stride) {
    for (int64_t t = 0; t < tokens; t++) {
      for (int64_t d = 0; d < width; d++) data[d * room + t] = static_cast<float>(x[t * stride + d]);
    }
  }
};

// The same, or their gradients, with the lanes along a token's numbers: [tokens, room], whole vectors, zeros past the width.
struct Rows {
  int64_t width, room;
  std::vector<float> data;
  Rows(int64_t width_, int64_t tokens)
      : width(width_), room((width_ + kLanes - 1) / kLanes * kLanes), data(tokens * room, 0.0f) {}
  float* row(int64_t t) { return data.data() + t * room; }
  const float* row(int64_t t) const { return data.data() + t * room; }
  template <typename T>
  void fill(const T* x, int64_t tokens, int64_t stride) {
    for (int64_t t = 0; t < tokens; t++) {
      for (int64_t d = 0; d < width; d += kLanes) store(row(t) + d, load(x + t * stride + d, width - d));
    }
  }
  template <typename T>
  void spill(T* x, int64_t tokens, int64_t stride) const {
    for (int64_t t = 0; t < tokens; t++) {
      for (int64_t d = 0; d < width; d += kLanes) store(x + t * stride + d, load(row(t) + d), width - d);
    }
  }
};

// out[q][at + j] = sum_d x[q][d] * columns[d][begin + j]
void products(const Rows& x, const Columns& columns, const Range& range, int64_t room, float* out) {
  for (int64_t j = 0; j < range.count; j += 2 * kLanes) {
    Float16 sums[kQueries][2] = {};
    for (int64_t d = 0; d < columns.width; d++) {
      const float* row = columns.row(d) + range.begin + j;
      const Float16 low = load(row), high = load(row + kLanes);
      for (int q = 0; q < kQueries; q++) {
        const Float16 value = splat(x.row(q)[d]);
        sums[q][0] += value * low;
        sums[q][1] += value * high;
      }
    }
    for (int q = 0; q < kQueries; q++) {
      store(out + q * room + range.at + j, sums[q][0]);
      store(out + q * room + range.at + j + kLanes, sums[q][1]);
    }
  }
}

// Vectors of a token's numbers that are worked on at once: as many for each of the queries stay in registers.
constexpr int kVectors = 4;

// Calls body(first, Vectors) for the vectors of a row of `room` numbers, up to four at a time.
template <typename Body>
void forVectors(int64_t room, Body body) {
  int64_t first = 0;
  for (; first + kVectors * kLanes <= room; first += kVectors * kLanes)
    body(first, std::integral_constant<int, kVectors>());
  switch ((room - first) / kLanes) {
    case 3:
      return body(first, std::integral_constant<int, 3>());
    case 2:
      return body(first, std::integral_constant<int, 2>());
    case 1:
      return body(first, std::integral_constant<int, 1>());
  }
}

// y[q][d] = sum over all ranges of weights[q][at + j] * rows[begin + j][d]
void combine(const float* weights, const Rows& rows, const std::vector<Range>& ranges, int64_t room, Rows& y) {
  forVectors(rows.room, [&](int64_t first, auto vectors) {
    Float16 sums[kQueries][vectors()] = {};
    for (const Range& range : ranges) {
      for (int64_t j = 0; j < range.count; j++) {
        const float *row = rows.row(range.begin + j) + first, *weight = weights + range.at + j;
        for (int v = 0; v < vectors(); v++) {
          const Float16 value = load(row + v * kLanes);
          for (int q = 0; q < kQueries; q++) sums[q][v] += value * weight[q * room];
        }
      }
    }
    for (int q = 0; q < kQueries; q++) {
      for (int v = 0; v < vectors(); v++) store(y.row(q) + first + v * kLanes, sums[q][v]);
    }
  });
}

// rows[begin + j][d] += sum_q weights[q][at + j] * x[q][d]
void scatter(const float* weights, const Rows& x, const std::vector<Range>& ranges, int64_t room, Rows& rows) {
  forVectors(rows.room, [&](int64_t first, auto vectors) {
    Float16 values[kQueries][vectors()];
    for (int q = 0; q < kQueries; q++) {
      for (int v = 0; v < vectors(); v++) values[q][v] = load(x.row(q) + first + v * kLanes);
    }
    for (const Range& range : ranges) {
      for (int64_t j = 0; j < range.count; j++) {
        float* row = rows.row(range.begin + j) + first;
        const float* weight = weights + range.at + j;
        for (int v = 0; v < vectors(); v++) {
          Float16 total = load(row + v * kLanes);
          for (int q = 0; q < kQueries; q++) total += values[q][v] * weight[q * room];
          store(row + v * kLanes, total);
        }
      }
    }
  });
}

// Up to kQueries of them; those that a block does not have are zeros.
template <typename T>
void gather(const T* x, int64_t count, int64_t stride, Rows& rows) {
  std::fill(rows.data.begin(), rows.data.end(), 0.0f);
  rows.fill(x, count, stride);
}

template <typename T>
void forwardTask(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<Segment>& segments,
                 const Tree& tree, int64_t group, const Rule& rule, at::Tensor& out, at::Tensor& logSums) {
  const int64_t headCount = q.size(1), width = q.size(2), groups = k.size(1), times = headCount / groups;
  const int64_t stride = headCount * width, keyStride = groups * width;
  Columns keys(width, tree.length);
  Rows values(width, tree.length), queries(width, kQueries), result(width, kQueries);
  keys.fill(k.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  values.fill(v.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  std::vector<float> scores;
  float inverses[kQueries];
  for (int64_t h = group * times; h < (group + 1) * times; h++) {
    forBlocks(segments, tree, kQueries, rule.window, [&](const Block& block, int64_t row) {
      gather(q.data_ptr<T>() + row * stride + h * width, block.count, stride, queries);
      scores.resize(kQueries * block.room);
      for (const Range& range : block.ranges) products(queries, keys, range, block.room, scores.data());
      const float scale = capScores(scores.data(), kQueries * block.room, rule);
      for (int64_t i = 0; i < kQueries; i++) {
        float* score = scores.data() + i * block.room;
        block.forHidden(i, [&](int64_t from, int64_t to) { std::fill(score + from, score + to, -INFINITY); });
        Float16 best = splat(-INFINITY);
        for (int64_t j = 0; j < block.room; j += kLanes) best = maximum(best, load(score + j));
        const float top = largest(best) * scale;
        Float16 sums = splat(0);
        for (int64_t j = 0; j < block.room; j += kLanes) {
          const Float16 e = exponential(load(score + j) * scale - top);
          store(score + j, e);
          sums += e;
        }
        const float total = sum(sums);
        inverses[i] = 1.0f / total;
        if (i < block.count) logSums.data_ptr<float>()[(row + i) * headCount + h] = top + std::log(total);
      }
      combine(scores.data(), values, block.ranges, block.room, result);
      for (int64_t i = 0; i < kQueries; i++) {
        for (int64_t d = 0; d < result.room; d += kLanes)
          store(result.row(i) + d, load(result.row(i) + d) * inverses[i]);
      }
      result.spill(out.data_ptr<T>() + row * stride + h * width, block.count, stride);
    });
  }
}

// With P the weights and O the output: dV += P dO, dP = dO V, dS = P (dP - sum dO O) scale (times the soft cap's slope),
// dQ = dS K, dK += dS Q.
template <typename T>
void backwardTask(const std::array<at::Tensor, 5>& saved, const at::Tensor& gradient,
                  const std::vector<Segment>& segments, const Tree& tree, int64_t group, const Rule& rule,
                  at::Tensor& dq, at::Tensor& dk, at::Tensor& dv) {
  const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &logSums = saved[4];
  const int64_t headCount = q.size(1), width = q.size(2), groups = k.size(1), times = headCount / groups;
  const int64_t stride = headCount * width, keyStride = groups * width;
  Columns keys(width, tree.length), values(width, tree.length);
  Rows keyRows(width, tree.length), keyGradients(width, tree.length), valueGradients(width, tree.length);
  keys.fill(k.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  values.fill(v.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  keyRows.fill(k.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  Rows queries(width, kQueries), outputs(width, kQueries), above(width, kQueries), result(width, kQueries);
  std::vector<float> weights, derivatives;
  for (int64_t h = group * times; h < (group + 1) * times; h++) {
    forBlocks(segments, tree, kQueries, rule.window, [&](const Block& block, int64_t row) {
      const int64_t at = row * stride + h * width;
      gather(q.data_ptr<T>() + at, block.count, stride, queries);
      gather(out.data_ptr<T>() + at, block.count, stride, outputs);
      gather(gradient.data_ptr<T>() + at, block.count, stride, above);
      weights.resize(kQueries * block.room);
      derivatives.resize(kQueries * block.room);
      for (const Range& range : block.ranges) {
        products(queries, keys, range, block.room, weights.data());
        products(above, values, range, block.room, derivatives.data());
      }
      const float scale = capScores(weights.data(), kQueries * block.room, rule);
      for (int64_t i = 0; i < kQueries; i++) {
        float* weight = weights.data() + i * block.room;
        float* derivative = derivatives.data() + i * block.room;
        if (i >= block.count) {
          std::fill(weight, weight + block.room, 0.0f);
          std::fill(derivative, derivative + block.room, 0.0f);
          continue;
        }
        float delta = 0;
        for (int64_t d = 0; d < width; d++) delta += above.row(i)[d] * outputs.row(i)[d];
        const float logSum = logSums.data_ptr<float>()[(row + i) * headCount + h];
        for (int64_t j = 0; j < block.room; j += kLanes) {
          const Float16 score = load(weight + j) * scale;
          const Float16 p = exponential(score - logSum);
          const Float16 slope = rule.softCap > 0 ? softCapSlope(score, rule.softCap) * rule.scale : splat(rule.scale);
          store(weight + j, p);
          store(derivative + j, p * (load(derivative + j) - delta) * slope);
        }
        block.forHidden(i, [&](int64_t from, int64_t to) {
          std::fill(weight + from, weight + to, 0.0f);
          std::fill(derivative + from, derivative + to, 0.0f);
        });
      }
      combine(derivatives.data(), keyRows, block.ranges, block.room, result);
      result.spill(dq.data_ptr<T>() + at, block.count, stride);
      scatter(derivatives.data(), queries, block.ranges, block.room, keyGradients);
      scatter(weights.data(), above, block.ranges, block.room, valueGradients);
    });
  }
  keyGradients.spill(dk.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
  valueGradients.spill(dv.data_ptr<T>() + tree.start * keyStride + group * width, tree.length, keyStride);
}

template <typename Body>
void forElementTypes(const at::Tensor& x, Body body) {
  if (x.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<c10::BFloat16*>(nullptr));
  }
}

// The kernels take fp32 and bf16.
bool hasKernel(const at::Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

enum class Wanted { onlyOut, withLogSums };

std::tuple<at::Tensor, at::Tensor> attend(const at::Tensor& q_, const at::Tensor& k_, const at::Tensor& v_,
                                          const std::vector<Segment>& segments, const std::vector<Tree>& trees,
                                          const Rule& rule, Wanted wanted) {
  const at::Tensor q = q_.contiguous(), k = k_.contiguous(), v = v_.contiguous();
  // Room for whole tiles: in sampling a product by rows reads it next, as it is.
  at::Tensor out = at::empty({roomFor(q.size(0)), q.size(1), q.size(2)}, q.options()).narrow(0, 0, q.size(0));
  const bool byTiles = q.scalar_type() == at::kBFloat16 && canRun(Bf16Path::amx);
  at::Tensor logSums;
  if (!byTiles || wanted == Wanted::withLogSums)
    logSums = at::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
  const int64_t groups = k.size(1);
  forElementTypes(q, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    shareTasks(static_cast<int64_t>(trees.size()) * groups, [&](int64_t i) {
      if (byTiles) {
        forwardByTiles(q, k, v, segments, trees[i / groups], i % groups, rule, out, logSums);
      } else {
        forwardTask<T>(q, k, v, segments, trees[i / groups], i % groups, rule, out, logSums);
      }
    });
  });
  return {out, logSums};
}

std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                           at::IntArrayRef flat, double scale, int64_t window, double softCap) {
  if (!hasKernel(q)) return composite::treeAttentionForward(q, k, v, flat, scale, window, softCap);
  checkTreeAttention(q, k, v);
  const auto segments = readSegments(flat, q.size(0));
  return attend(q, k, v, segments, treesOf(segments), {static_cast<float>(scale), window, static_cast<float>(softCap)},
                Wanted::withLogSums);
}

at::Tensor withKnown(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::IntArrayRef flat,
                     at::IntArrayRef known, double scale, int64_t window, double softCap) {
  if (!hasKernel(q)) return composite::treeAttentionWithKnown(q, k, v, flat, known, scale, window, softCap);
  const auto segments = readSegments(flat, k.size(0));
  checkKnownRoots(q, k, v, segments, known);
  return std::get<0>(attend(q, k, v, segments, treesOf(segments, known),
                            {static_cast<float>(scale), window, static_cast<float>(softCap)}, Wanted::onlyOut));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(const at::Tensor& gradient_, const at::Tensor& q_,
                                                        const at::Tensor& k_, const at::Tensor& v_,
                                                        const at::Tensor& out, const at::Tensor& logSums,
                                                        at::IntArrayRef flat, double scale, int64_t window,
                                                        double softCap) {
  if (!hasKernel(q_))
    return composite::treeAttentionBackward(gradient_, q_, k_, v_, out, logSums, flat, scale, window, softCap);
  const auto segments = readSegments(flat, q_.size(0));
  const auto trees = treesOf(segments);
  const Rule rule{static_cast<float>(scale), window, static_cast<float>(softCap)};
  const at::Tensor gradient = gradient_.contiguous(), q = q_.contiguous(), k = k_.contiguous(), v = v_.contiguous();
  at::Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(k);
  const int64_t groups = k.size(1);
  forElementTypes(q, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    shareTasks(static_cast<int64_t>(trees.size()) * groups, [&](int64_t i) {
      if (std::is_same_v<T, c10::BFloat16> && canRun(Bf16Path::amx)) {
        backwardByTiles({q, k, v, out, logSums}, gradient, segments, trees[i / groups], i % groups, rule, dq, dk, dv);
      } else {
        backwardTask<T>({q, k, v, out, logSums}, gradient, segments, trees[i / groups], i % groups, rule, dq, dk, dv);
      }
    });
  });
  return {dq, dk, dv};
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("tree_attention_forward", &selm::forward);
  library.impl("tree_attention_backward", &selm::backward);
  library.impl("tree_attention_with_known", &selm::withKnown);
}
