// Attention over a tree by tiles. Both of its products are products of rows with panels (panels.h has the picture):
//
//   scores [queries, keys] = q k^T      a panel is 32 keys, its inputs are the d numbers of a head
//   out    [queries, d]    = p v        a panel is 32 of the d numbers, its inputs are the keys
//
// Every segment begins at a place that is a whole panel, so that what a block of 32 queries sees are whole panels too:
//
//   tokens   prompt 0 .. 36 | chosen 37 .. 50          places   0 .. 36, (37 .. 63 empty) | 64 .. 77, (78 .. 95 empty)
//
// Scores of a block lie panel by panel: [keys / 32][32 queries][32 keys]. Gradients take the same two products for what
// belongs to a query, and for what belongs to a key one with 32 queries as its inputs:
//
//   dk^T [d, keys] += q^T [d, queries] ds [queries, keys]      a panel is 32 keys, its inputs are the 32 queries
#include "tree_attention_tiles.h"

#include "../checks.h"
#include "panels.h"
#include "rounding.h"
#include "tile_packing.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kBlock = kTileRows;  // queries of a block
constexpr int64_t kSquare = kBlock * kPanel;
constexpr int64_t kLine = 32;  // numbers of a line of the cache
static_assert(kBlock == 32 && kPanel == 32 && kStep == 32);

// The keys of one tree and one head, or its values, as panels of keys ("across") and as panels of numbers ("along").
struct PackedKeys {
  int64_t width, room;  // numbers of a head, and padded to whole steps
  int64_t total = 0;    // places
  size_t first;
  std::vector<int64_t> places, starts;  // of the tree's segments: where they begin, in places and in tokens of the tree
  std::vector<Bf16> across, along;

  PackedKeys(const at::Tensor& x, const std::vector<Segment>& segments, const Tree& tree, int64_t group)
      : width(x.size(2)), room(padded(width)), first(tree.first) {
    for (size_t s = tree.first; s < tree.last; s++) {
      places.push_back(total);
      starts.push_back(segments[s].start - tree.start);
      total += padded(segments[s].length);
    }
    across.resize(total * room);
    along.resize(total * room);
    const int64_t stride = x.size(1) * width;
    for (size_t s = tree.first; s < tree.last; s++) {
      const int64_t place = places[s - first], length = segments[s].length;
      const Bf16* from = x.data_ptr<Bf16>() + segments[s].start * stride + group * width;
      for (int64_t t = 0; t < length; t += kPanel)
        panelOfRows({from + t * stride, stride, std::min(kPanel, length - t), width},
                    across.data() + (place + t) * room);
      for (int64_t d = 0; d < width; d += kPanel)
        panelOfColumns({from + d, stride, std::min(kPanel, width - d), length},
                       along.data() + (d / kPanel * total + place) * kPanel);
    }
  }
  int64_t placeOf(const Range& range) const {
    return places[range.segment - first] + range.begin - starts[range.segment - first];
  }
  // 32 keys from a place on; the inputs are a head's numbers.
  const Bf16* keyPanel(int64_t place) const { return across.data() + place * room; }
  // Numbers [number, number + 32) of a head; the inputs are keys from a place on.
  const Bf16* numberPanel(int64_t place, int64_t number) const {
    return along.data() + (number / kPanel * total + place) * kPanel;
  }
};

// Rows of a block's queries as products read them, [32, room] in bf16, and turned, [room, 32]; zeros where there are none.
struct QueryRows {
  int64_t room;
  std::vector<Bf16> rows, turned;
  explicit QueryRows(int64_t room_) : room(room_), rows(kBlock * room_), turned(kBlock * room_) {}

  void gather(const Bf16* x, int64_t count, int64_t stride, int64_t width) {
    std::fill(rows.begin() + count * room, rows.end(), Bf16(0.0f));
    for (int64_t i = 0; i < count; i++) std::copy(x + i * stride, x + i * stride + width, rows.data() + i * room);
  }
  // A row that will be gathered is on its way to the cache: rows of a head lie far apart, and no processor guesses the next one.
  static void fetch(const Bf16* row, int64_t width) {
    for (int64_t d = 0; d < width; d += kLine) __builtin_prefetch(row + d);
  }
  void turn() {
    for (int64_t d = 0; d < room; d += kBlock)
      tilesOfColumns({rows.data() + d, room, kBlock, kBlock}, turned.data() + d * kBlock);
  }
};

// Two vectors in bf16, lane by lane beside each other.
UInt16 pairOf(Float16 first, Float16 second) {
  Bf16 halves[2][kLanes];
  storeNormal(halves[0], first);
  storeNormal(halves[1], second);
  Half16 low, high;
  std::memcpy(&low, halves[0], sizeof low);
  std::memcpy(&high, halves[1], sizeof high);
  return __builtin_convertvector(low, UInt16) | __builtin_convertvector(high, UInt16) << 16;
}

float* at(std::vector<float>& square, int64_t query, int64_t place) {
  return square.data() + (place / kPanel * kBlock + query) * kPanel + place % kPanel;
}

// scores[query][key] = sum_d queries[query][d] keys[key][d] for all keys that the block sees.
void multiplyByKeys(const QueryRows& queries, const PackedKeys& keys, const Block& block, std::vector<float>& scores) {
  scores.resize(block.room * kBlock);
  for (const Range& range : block.ranges) {
    for (int64_t j = 0; j < range.count; j += kPanel)
      amxPanel(queries.rows.data(), keys.room, keys.keyPanel(keys.placeOf(range) + j), at(scores, 0, range.at + j),
               block.count, false);
  }
}

// Writes factors[query] * sum_key weights[query][key] keys[key][d]; weights lie range by range, [32][keys of the range].
void combineKeys(const std::vector<Bf16>& weights, const PackedKeys& keys, const Block& block, const float* factors,
                 Bf16* out, int64_t stride) {
  for (int64_t first = 0; first < keys.width; first += kPanel) {
    alignas(64) float sums[kSquare] = {};
    for (const Range& range : block.ranges)
      amxPanelOnto(weights.data() + range.at * kBlock, padded(range.count),
                   keys.numberPanel(keys.placeOf(range), first), sums, block.count, false);
    for (int64_t i = 0; i < block.count; i++) {
      for (int64_t d = 0; d < std::min(kPanel, keys.width - first); d += kLanes)
        storeNormal(out + i * stride + first + d, load(sums + i * kPanel + d) * factors[i], keys.width - first - d);
    }
  }
}

// gradients[place][d][key] += sum_query queries[query][d] weights[query][key] for all keys that the block sees.
void addToKeys(const QueryRows& queries, std::vector<float>& weights, const PackedKeys& keys, const Block& block,
               std::vector<float>& gradients) {
  alignas(64) uint32_t pairs[kBlock / 2 * kPanel];
  alignas(64) float part[kSquare];
  for (const Range& range : block.ranges) {
    for (int64_t j = 0; j < range.count; j += kPanel) {
      for (int64_t i = 0; i < kBlock; i += 2) {
        for (int64_t lane = 0; lane < kPanel; lane += kLanes) {
          const UInt16 both =
              pairOf(load(at(weights, i, range.at + j) + lane), load(at(weights, i + 1, range.at + j) + lane));
          std::memcpy(pairs + i / 2 * kPanel + lane, &both, sizeof both);
        }
      }
      float* to = gradients.data() + (keys.placeOf(range) + j) * keys.room;
      for (int64_t d = 0; d < keys.room; d += kBlock, to += kSquare) {
        amxPanel(queries.turned.data() + d * kBlock, kBlock, reinterpret_cast<const Bf16*>(pairs), part, kBlock, false);
        for (int64_t n = 0; n < kSquare; n += kLanes) store(to + n, load(to + n) + load(part + n));
      }
    }
  }
}

// Gradients of keys, [place][d][key] as addToKeys has them, to rows of the tree's tokens that lie `stride` numbers apart: a square of 32 keys
// by 32 numbers is rounded and turned.
void writeKeys(const std::vector<float>& gradients, const PackedKeys& keys, const std::vector<Segment>& segments,
               const Tree& tree, Bf16* rows, int64_t stride) {
  alignas(64) Bf16 square[kSquare], turned[kSquare];
  for (size_t s = tree.first; s < tree.last; s++) {
    for (int64_t t = 0; t < segments[s].length; t += kPanel) {
      const float* from = gradients.data() + (keys.places[s - tree.first] + t) * keys.room;
      Bf16* const to = rows + (segments[s].start + t) * stride;
      for (int64_t d = 0; d < keys.width; d += kBlock, from += kSquare) {
        for (int64_t n = 0; n < kSquare; n += kLanes) storeNormal(square + n, load(from + n));
        tilesOfColumns({square, kPanel, kPanel, kBlock}, turned);
        const int64_t width = std::min(kBlock, keys.width - d);
        for (int64_t key = 0; key < std::min(kPanel, segments[s].length - t); key++)
          std::copy_n(turned + key * kBlock, width, to + key * stride + d);
      }
    }
  }
}

// Weights as combineKeys reads them.
void roundWeights(std::vector<float>& square, const Block& block, std::vector<Bf16>& weights) {
  weights.resize(block.room * kBlock);
  for (const Range& range : block.ranges) {
    const int64_t keys = padded(range.count);
    for (int64_t i = 0; i < block.count; i++) {
      for (int64_t j = 0; j < keys; j += kLanes)
        storeNormal(weights.data() + range.at * kBlock + i * keys + j, load(at(square, i, range.at + j)));
    }
  }
}

// Places [from, to) of a query hold no key that it may see.
void hide(std::vector<float>& scores, int64_t query, int64_t from, int64_t to) {
  while (from < to) {
    const int64_t count = std::min(to - from, kPanel - from % kPanel);
    std::fill_n(at(scores, query, from), count, -INFINITY);
    from += count;
  }
}

// Scores of a block's queries become weights as combineKeys reads them: exponentials, which `factors` bring to a sum of one. Where `logs` is not
// null, it gets the logarithms of their sums, `stride` numbers from one query to the next.
void exponentials(std::vector<float>& scores, const Block& block, float scale, std::vector<Bf16>& weights,
                  float* factors, float* logs, int64_t stride) {
  weights.resize(block.room * kBlock);
  float tops[kBlock];
  for (int64_t i = 0; i < block.count; i++) {
    block.forHidden(i, [&](int64_t from, int64_t to) { hide(scores, i, from, to); });
    Float16 best = splat(-INFINITY);
    for (int64_t j = 0; j < block.room; j += kPanel) {
      const float* score = at(scores, i, j);
      best = maximum(best, maximum(load(score), load(score + kLanes)));
    }
    tops[i] = largest(best) * scale;
  }
  for (int64_t i = 0; i < block.count; i++) {
    Float16 sums = splat(0);
    for (const Range& range : block.ranges) {
      const int64_t keys = padded(range.count);
      const float* score = at(scores, i, range.at);
      Bf16* weight = weights.data() + range.at * kBlock + i * keys;
      for (int64_t j = 0; j < keys; j += kPanel, score += kSquare, weight += kPanel) {
        for (int64_t lane = 0; lane < kPanel; lane += kLanes) {
          const Float16 e = exponential(load(score + lane) * scale - tops[i]);
          storeNormal(weight + lane, e);
          sums += e;
        }
      }
    }
    const float total = sum(sums);
    factors[i] = 1.0f / total;
    if (logs != nullptr) logs[i * stride] = tops[i] + std::log(total);
  }
}

}  // namespace

void forwardByTiles(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<Segment>& segments,
                    const Tree& tree, int64_t group, const Rule& rule, at::Tensor& out, at::Tensor& logSums) {
  const int64_t headCount = q.size(1), width = q.size(2), times = headCount / k.size(1), stride = headCount * width;
  const PackedKeys keys(k, segments, tree, group), values(v, segments, tree, group);
  const Bf16* asked = q.data_ptr<Bf16>();
  Bf16* to = out.data_ptr<Bf16>();
  float* logs = logSums.defined() ? logSums.data_ptr<float>() : nullptr;
  const AmxTiles prepared;
  QueryRows queries(keys.room);
  std::vector<float> scores;
  std::vector<Bf16> weights;
  for (int64_t h = group * times; h < (group + 1) * times; h++) {
    forBlocks(segments, tree, kBlock, rule.window, [&](const Block& block, int64_t row) {
      const int64_t begin = row * stride + h * width;
      queries.gather(asked + begin, block.count, stride, width);
      multiplyByKeys(queries, keys, block, scores);
      const float scale = capScores(scores.data(), block.room * kBlock, rule);
      float inverses[kBlock];
      exponentials(scores, block, scale, weights, inverses, logs == nullptr ? nullptr : logs + row * headCount + h,
                   headCount);
      combineKeys(weights, values, block, inverses, to + begin, stride);
    });
  }
}

void backwardByTiles(const std::array<at::Tensor, 5>& saved, const at::Tensor& gradient,
                     const std::vector<Segment>& segments, const Tree& tree, int64_t group, const Rule& rule,
                     at::Tensor& dq, at::Tensor& dk, at::Tensor& dv) {
  const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &logSums = saved[4];
  const int64_t headCount = q.size(1), width = q.size(2), groups = k.size(1), times = headCount / groups,
                stride = headCount * width;
  const PackedKeys keys(k, segments, tree, group), values(v, segments, tree, group);
  const Bf16 *asked = q.data_ptr<Bf16>(), *given = out.data_ptr<Bf16>(), *gradients = gradient.data_ptr<Bf16>();
  Bf16* const queryGradients = dq.data_ptr<Bf16>();
  const float* logs = logSums.data_ptr<float>();
  const AmxTiles prepared;
  QueryRows queries(keys.room), above(keys.room);
  std::vector<float> weights, derivatives, keyGradients(keys.total * keys.room), valueGradients(keys.total * keys.room);
  std::vector<Bf16> rounded;
  for (int64_t h = group * times; h < (group + 1) * times; h++) {
    forBlocks(segments, tree, kBlock, rule.window, [&](const Block& block, int64_t row) {
      const int64_t begin = row * stride + h * width;
      queries.gather(asked + begin, block.count, stride, width);
      above.gather(gradients + begin, block.count, stride, width);
      multiplyByKeys(queries, keys, block, weights);
      multiplyByKeys(above, values, block, derivatives);
      const float scale = capScores(weights.data(), block.room * kBlock, rule);
      for (int64_t i = 0; i < kBlock; i++) {
        const bool isThere = i < block.count;
        for (const Bf16* rows : {asked, gradients, given})
          QueryRows::fetch(rows + begin + (kBlock + i) * stride, width);
        Float16 products = splat(0);
        for (int64_t d = 0; isThere && d < width; d += kLanes)
          products += load(above.rows.data() + i * keys.room + d) * load(given + begin + i * stride + d, width - d);
        const float delta = sum(products), logSum = isThere ? logs[(row + i) * headCount + h] : 0;
        for (int64_t j = 0; j < block.room; j += kLanes) {
          float *weight = at(weights, i, j), *derivative = at(derivatives, i, j);
          const Float16 score = load(weight) * scale, p = exponential(score - logSum);
          const Float16 slope = rule.softCap > 0 ? softCapSlope(score, rule.softCap) * rule.scale : splat(rule.scale);
          store(weight, isThere ? p : splat(0));
          store(derivative, isThere ? p * (load(derivative) - delta) * slope : splat(0));
        }
        if (!isThere) continue;
        block.forHidden(i, [&](int64_t from, int64_t to) {
          for (int64_t place = from; place < to; place++) *at(weights, i, place) = *at(derivatives, i, place) = 0.0f;
        });
      }
      constexpr auto ones = [] {
        std::array<float, kBlock> all{};
        for (float& one : all) one = 1.0f;
        return all;
      }();
      roundWeights(derivatives, block, rounded);
      combineKeys(rounded, keys, block, ones.data(), queryGradients + begin, stride);
      queries.turn();
      above.turn();
      addToKeys(queries, derivatives, keys, block, keyGradients);
      addToKeys(above, weights, values, block, valueGradients);
    });
  }
  writeKeys(keyGradients, keys, segments, tree, dk.data_ptr<Bf16>() + group * width, groups * width);
  writeKeys(valueGradients, values, segments, tree, dv.data_ptr<Bf16>() + group * width, groups * width);
}

}  // namespace selm
