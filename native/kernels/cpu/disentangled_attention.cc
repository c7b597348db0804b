// Attention within each sequence of a stream that adds what a key's distance says to its score (DeBERTa): of query i and key j
//
//   (q_i . k_j  +  q_i . Kr[i - j]  +  k_j . Qr[i - j]) scale        Kr, Qr: rows of relative keys and queries, one a distance
//
// One task is one head. It works through a sequence by 32 queries at a time, all products being those of rows with panels
// (attention_products.h):
//
//   q . Kr                                                        k . Qr
//
//   rows are queries, a panel is 32 distances from j - i = -31    rows are distances, a panel is 32 keys. A block of 32 queries and
//   on: each row is written one place further to the right than   32 keys needs 63 distances; each key reads one distance further up
//   the one above it, and stands beside its keys                  than the key at its left (`forLeaned`)
//
//   query 0        [. . . 0 1 2 3 ..                              i - j =  2   . . . .
//   query 1      [. . . 0 1 2 3 ..                                         1   # . . .    the lanes of one query
//   query 2    [. . . 0 1 2 3 ..                                           0   . # . .
//                                                                         -1   . . # .
//
// Of many queries only kTogether tiles are worked on before the next ones, so that what keys say of distances stays in the cache.
// Sums are in fp32; in bf16, weights are rounded before they meet the values.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <optional>
#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "attention_products.h"
#include "team.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kTile = kBlockLanes;  // queries of a block, keys and distances of a panel
constexpr int64_t kSquare = kTile * kTile;
constexpr int64_t kTogether = 4;

// Lanes whose number has a bit.
template <int Bit>
Int16 lanesWith() {
  Int16 lanes{};
  for (int lane = 0; lane < kLanes; lane++) lanes[lane] = lane & Bit ? -1 : 0;
  return lanes;
}

// Calls body(i, row) for rows i of 32, where lane l of the row is that of row i + 15 - l of `from`: lanes are delayed by 1, 2, 4 and 8 rows
// where their number has that bit, and what is delayed waits in a ring.
template <typename Body>
inline void forLeaned(const float* from, int64_t count, Body body) {
  const Int16 by1 = lanesWith<1>(), by2 = lanesWith<2>(), by4 = lanesWith<4>(), by8 = lanesWith<8>();
  Float16 last{}, two[2] = {}, four[4] = {}, eight[8] = {};
  for (int64_t first = 0; first < count + kLanes - 1; first += 8) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < 8; i++) {
      const Float16 row = load(from + (first + i) * kTile);
      const Float16 a = by1 ? last : row, b = by2 ? two[i % 2] : a, c = by4 ? four[i % 4] : b, d = by8 ? eight[i] : c;
      last = row;
      two[i % 2] = a;
      four[i % 4] = b;
      eight[i] = c;
      const int64_t to = first + i - (kLanes - 1);
      if (to >= 0 && to < count) body(to, d);
    }
  }
}

// Relative keys or queries of one head by distance, for sequences of up to so many tiles: row w holds distance w - (32 tiles - 1), or the opposite.
template <typename X>
std::vector<X> rowsByDistance(const at::Tensor& relative, int64_t head, at::IntArrayRef rows, int64_t tiles,
                              bool isOpposite) {
  const int64_t width = relative.size(2), middle = static_cast<int64_t>(rows.size()) / 2;
  const X* from = relative.data_ptr<X>() + head * width;
  std::vector<X> all(2 * tiles * kTile * width, X(0.0f));
  for (int64_t w = 0; w < 2 * tiles * kTile; w++) {
    const int64_t distance = w - (tiles * kTile - 1), place = middle + (isOpposite ? -distance : distance);
    // Beyond the table there is no pair of tokens.
    if (place >= 0 && place < static_cast<int64_t>(rows.size()))
      std::copy_n(from + rows[place] * relative.stride(0), width, all.data() + w * width);
  }
  return all;
}

// One head of all sequences, the longest of which has so many tiles.
template <typename Products>
class Head {
 public:
  using X = typename Products::Number;
  Head(const Products& products, int64_t width, int64_t tiles) : products_(products), width_(width), most_(tiles) {}

  void readRelative(const std::optional<at::Tensor>& keys, const std::optional<at::Tensor>& queries,
                    at::IntArrayRef rows, int64_t head) {
    hasKeys_ = keys.has_value();
    hasQueries_ = queries.has_value();
    const int64_t count = 2 * most_ * kTile;
    if (hasKeys_) {
      const std::vector<X> byDistance = rowsByDistance<X>(*keys, head, rows, most_, true);
      products_.rows({byDistance.data(), width_, count, width_}, padded_);
      products_.panels(padded_, relativeKeys_);
    }
    if (hasQueries_) {
      const std::vector<X> byDistance = rowsByDistance<X>(*queries, head, rows, most_, false);
      products_.rows({byDistance.data(), width_, count, width_}, relativeQueries_);
    }
  }

  void attend(const HeadRows<X>& q, const HeadRows<X>& k, const HeadRows<X>& v, float scale, X* out, int64_t stride) {
    tiles_ = blocksFor(k.count);
    keys_ = k.count;
    products_.rows(k, padded_);
    products_.panels(padded_, keyPanels_);
    products_.rows(q, queries_);
    products_.panelsOfNumbers(v, valuePanels_);
    products_.shares(keys_, weights_);
    rowLength_ = tiles_ * kTile + 2 * kTile;
    scores_.resize(kTile * rowLength_);
    for (int64_t first = 0; first < tiles_; first += kTogether) {
      const int64_t last = std::min(first + kTogether, tiles_);
      if (hasQueries_) askDistances(first, last);
      for (int64_t tile = first; tile < last; tile++) {
        const int64_t count = std::min(kTile, q.count - tile * kTile);
        score(tile, tile - first, count);
        float inverses[kTile];
        for (int64_t i = 0; i < count; i++) inverses[i] = weigh(i, scale);
        combine(inverses, count, out + tile * kTile * stride, stride);
      }
    }
  }

 private:
  float* scoresOf(int64_t query) { return scores_.data() + query * rowLength_ + kTile; }
  float* distancesOf(int64_t keyTile) { return distances_.data() + keyTile * (kTogether + 1) * kSquare; }

  // k . Qr of all keys with the distances to queries of tiles [first, last).
  void askDistances(int64_t first, int64_t last) {
    distances_.resize(tiles_ * (kTogether + 1) * kSquare);
    for (int64_t keyTile = 0; keyTile < tiles_; keyTile++) {
      for (int64_t t = 0; t <= last - first; t++) {
        const int64_t rows = first - keyTile + most_ - 1 + t;
        float* to = distancesOf(keyTile) + t * kSquare;
        products_.multiply(relativeQueries_, rows, keyPanels_, keyTile, kTile, square_);
        for (int64_t i = 0; i < kTile; i++) {
          for (int64_t half = 0; half < kTile; half += kLanes)
            store(to + i * kTile + half, Products::read(square_, relativeQueries_, rows, keyPanels_, keyTile, i, half));
        }
      }
    }
  }

  // Scores of a tile's queries, panel by panel: what distances give, then what keys do, while both are near.
  void score(int64_t tile, int64_t inGroup, int64_t count) {
    if (!hasKeys_) std::fill(scores_.begin(), scores_.end(), 0.0f);
    // A loop: std::fill drops Float16's alignment of 4, and stores as if 64 were promised.
    for (int64_t i = 0; i < count; i++) best_[i] = splat(-INFINITY);
    for (int64_t t = 0; t <= tiles_; t++) {
      if (hasKeys_) placeDistances(tile, t, count);
      if (t > 0) addKeys(tile, t - 1, inGroup, count);
    }
  }

  // q . Kr of panel t, which ends at the last key of tile t for the last query, and 31 keys before it for the first.
  void placeDistances(int64_t tile, int64_t t, int64_t count) {
    const int64_t panel = most_ - 1 - tile + t;
    products_.multiply(queries_, tile, relativeKeys_, panel, count, square_);
    for (int64_t i = 0; i < count; i++) {
      for (int64_t half = 0; half < kTile; half += kLanes)
        store(scoresOf(i) + (t - 1) * kTile + i + 1 + half,
              Products::read(square_, queries_, tile, relativeKeys_, panel, i, half));
    }
  }

  // Adds q . k and k . Qr; places without a key are hidden.
  void addKeys(int64_t tile, int64_t keyTile, int64_t inGroup, int64_t count) {
    products_.multiply(queries_, tile, keyPanels_, keyTile, count, square_);
    for (int64_t half = 0; half < kTile; half += kLanes) {
      const int64_t first = keyTile * kTile + half;
      Float16 hidden = splat(0);
      for (int64_t lane = std::max<int64_t>(0, keys_ - first); lane < kLanes; lane++) hidden[lane] = -INFINITY;
      const auto add = [&](int64_t i, Float16 ofDistance) {
        float* to = scoresOf(i) + first;
        const Float16 ofKey = Products::read(square_, queries_, tile, keyPanels_, keyTile, i, half);
        const Float16 score = load(to) + ofKey + (ofDistance + hidden);
        store(to, score);
        best_[i] = maximum(best_[i], score);
      };
      if (hasQueries_) {
        forLeaned(distancesOf(keyTile) + (inGroup * kTile + kLanes - half) * kTile + half, count, add);
      } else {
        for (int64_t i = 0; i < count; i++) add(i, splat(0));
      }
    }
  }

  // Scores of a query become weights, of which the largest is 1; returns one over their sum.
  float weigh(int64_t query, float scale) {
    const float *scores = scoresOf(query), top = largest(best_[query]) * scale;
    Float16 total = splat(0);
    for (int64_t j = 0; j < tiles_ * kTile; j += kLanes) {
      const Float16 weight = exponential(load(scores + j) * scale - top);
      Products::put(weight, query, j, weights_);
      total += weight;
    }
    return 1.0f / sum(total);
  }

  void combine(const float* inverses, int64_t count, X* out, int64_t stride) {
    for (int64_t first = 0; first < width_; first += kTile) {
      const int64_t panel = first / kTile;
      products_.multiply(weights_, 0, valuePanels_, panel, count, square_);
      for (int64_t i = 0; i < count; i++) {
        for (int64_t n = 0; n < std::min(kTile, width_ - first); n += kLanes)
          store(out + i * stride + first + n,
                Products::read(square_, weights_, 0, valuePanels_, panel, i, n) * inverses[i], width_ - first - n);
      }
    }
  }

  using Factor = typename Products::Factor;
  const Products products_;
  const int64_t width_, most_;
  bool hasKeys_ = false, hasQueries_ = false;
  int64_t tiles_ = 0, keys_ = 0, rowLength_ = 0;
  Factor relativeKeys_, relativeQueries_, padded_, queries_, keyPanels_, valuePanels_, weights_;
  LineVector<float> scores_, distances_;
  Float16 best_[kTile];  // of each query, lane by lane
  typename Products::Square square_;
};

// What the operator is called with, its tensors as the kernel reads them.
struct Call {
  at::Tensor q, k, v;
  std::optional<at::Tensor> relativeKeys, relativeQueries;
  at::IntArrayRef rows, sequences;
  float scale;
};

template <typename Products>
void attendAll(const Products& products, bool usesTiles, const Call& call, at::Tensor& out) {
  using X = typename Products::Number;
  const int64_t heads = call.q.size(1), width = call.q.size(2);
  int64_t longest = 0;
  for (size_t i = 1; i < call.sequences.size(); i += 2) longest = std::max(longest, call.sequences[i]);
  shareTasks(heads, [&](int64_t head) {
    std::optional<AmxTiles> prepared;
    if (usesTiles) prepared.emplace();
    Head<Products> one(products, width, blocksFor(longest));
    one.readRelative(call.relativeKeys, call.relativeQueries, call.rows, head);
    int64_t start = 0;
    for (size_t i = 1; i < call.sequences.size(); i += 2) {
      const int64_t count = call.sequences[i];
      const auto of = [&](const at::Tensor& x) {
        return HeadRows<X>{x.data_ptr<X>() + start * x.stride(0) + head * width, x.stride(0), count, width};
      };
      one.attend(of(call.q), of(call.k), of(call.v), call.scale, out.data_ptr<X>() + (start * heads + head) * width,
                 heads * width);
      start += count;
    }
  });
}

void attendBy(std::string_view arithmetic, const Call& call, at::Tensor& out) {
  const Bf16Path path = bf16PathOf(arithmetic);
  const bool usesTiles = path == Bf16Path::amx;
  if (call.q.scalar_type() == at::kFloat) {
    if (usesTiles && hasDigits()) return attendAll(DigitProducts(), true, call, out);
    return attendAll(NumberProducts<float>(vectorPanel), false, call, out);
  }
  switch (path) {
    case Bf16Path::amx:
      return attendAll(NumberProducts<Bf16>(amxPanel), true, call, out);
    case Bf16Path::avx512Bf16:
      return attendAll(NumberProducts<Bf16>(avx512Bf16Panel), false, call, out);
    case Bf16Path::vector:
      return attendAll(NumberProducts<Bf16>(vectorPanel), false, call, out);
  }
}

// Whether each sequence asks for all of its tokens, and has none left out.
bool isWhole(at::IntArrayRef queries, at::IntArrayRef keys, at::IntArrayRef sequences) {
  if (queries != keys) return false;
  int64_t start = 0;
  for (size_t i = 0; i < sequences.size(); i += 2) {
    if (sequences[i] != sequences[i + 1]) return false;
    for (int64_t t = 1; t < sequences[i]; t++)
      if (keys[start + t] != keys[start] + t) return false;
    start += sequences[i];
  }
  return true;
}

// Heads lie beside each other, their numbers in order; rows may lie apart.
at::Tensor byRows(const at::Tensor& x) { return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous(); }

at::Tensor disentangledAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const std::optional<at::Tensor>& relativeKeys,
                                 const std::optional<at::Tensor>& relativeQueries, at::IntArrayRef rows,
                                 at::IntArrayRef queryPositions, at::IntArrayRef keyPositions,
                                 at::IntArrayRef sequences, std::string_view arithmetic) {
  checkDisentangled(q, k, v, relativeKeys, relativeQueries, rows, queryPositions, keyPositions, sequences);
  if ((q.scalar_type() != at::kFloat && q.scalar_type() != at::kBFloat16) ||
      !isWhole(queryPositions, keyPositions, sequences))
    return composite::disentangledAttention(q, k, v, relativeKeys, relativeQueries, rows, queryPositions, keyPositions,
                                            sequences, arithmetic);
  const auto orNone = [](const std::optional<at::Tensor>& x) {
    return x.has_value() && x->defined() ? std::optional<at::Tensor>(x->contiguous()) : std::nullopt;
  };
  Call call{byRows(q), byRows(k), byRows(v), orNone(relativeKeys), orNone(relativeQueries), rows, sequences, 0};
  const int64_t terms = 1 + (call.relativeKeys.has_value() ? 1 : 0) + (call.relativeQueries.has_value() ? 1 : 0);
  call.scale = 1.0f / std::sqrt(static_cast<float>(terms * q.size(2)));
  at::Tensor out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options());
  attendBy(arithmetic, call, out);
  return out;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("disentangled_attention", &selm::disentangledAttention);
}
