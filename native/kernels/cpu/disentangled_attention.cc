// Attention within each sequence of a stream that adds what a key's distance says to its score (DeBERTa): of query i and key j
//
//   (q_i . k_j  +  q_i . Kr[i - j]  +  k_j . Qr[i - j]) scale        Kr, Qr: rows of relative keys and queries, one a distance
//
// One task is one head. It works through a sequence by 32 queries at a time, all products being those of rows with panels (panels.h):
//
//   q . Kr                                                        k . Qr
//
//   rows are queries, a panel is 32 distances from j - i = -31    rows are distances, a panel is 32 keys. A block of 32 queries and
//   on: each row is written one place further to the right than   32 keys needs 63 distances; each key reads one distance further up
//   the one above it, and stands beside its keys                  than the key at its left (`leaned`)
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
#include "panels.h"
#include "team.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kTile = kTileRows;  // queries of a block, keys and distances of a panel
constexpr int64_t kSquare = kTile * kPanel;
constexpr int64_t kTogether = 4;
static_assert(kTile == 32 && kPanel == 32 && kStep == 32);

int64_t tilesFor(int64_t count) { return (count + kTile - 1) / kTile; }

template <typename X>
using RowsByPanel = void (*)(const X*, int64_t, const X*, float*, int64_t, bool);

RowsByPanel<float> kernelFor(const float*) { return vectorPanel; }
RowsByPanel<Bf16> kernelFor(const Bf16*) {
  switch (fastestBf16Path()) {
    case Bf16Path::amx:
      return amxPanel;
    case Bf16Path::avx512Bf16:
      return avx512Bf16Panel;
    case Bf16Path::vector:
      return vectorPanel;
  }
  return vectorPanel;
}

// A head's rows in memory, `stride` numbers from one to the next.
template <typename X>
struct HeadRows {
  const X* x;
  int64_t stride, count, width;
};

// Inputs that lie beside each other in a panel.
template <typename X>
constexpr int64_t kBeside = std::is_same_v<X, Bf16> ? 2 : 1;

// Rows, padded with zeros to whole tiles: [32 tiles, room].
template <typename X>
void padRows(const HeadRows<X>& rows, int64_t room, std::vector<X>& to) {
  to.assign(tilesFor(rows.count) * kTile * room, X(0.0f));
  for (int64_t r = 0; r < rows.count; r++) std::copy_n(rows.x + r * rows.stride, rows.width, to.data() + r * room);
}

// Padded rows as panels of 32 rows; inputs are their numbers.
template <typename X>
void panelsOfRows(const std::vector<X>& padded, int64_t room, std::vector<X>& to) {
  to.resize(padded.size());
  for (size_t first = 0; first < padded.size(); first += kPanel * room) {
    const X* rows = padded.data() + first;
    X* panel = to.data() + first;
    for (int64_t i = 0; i < room; i += kBeside<X>, panel += kPanel * kBeside<X>) {
      for (int64_t row = 0; row < kPanel; row++)
        std::copy_n(rows + row * room + i, kBeside<X>, panel + row * kBeside<X>);
    }
  }
}

// Rows as panels of 32 of their numbers; inputs are the rows, padded with zeros to whole tiles.
template <typename X>
void panelsOfNumbers(const HeadRows<X>& rows, std::vector<X>& to) {
  const int64_t inputs = tilesFor(rows.count) * kTile;
  to.assign(panelsFor(rows.width) * inputs * kPanel, X(0.0f));
  for (int64_t first = 0; first < rows.width; first += kPanel) {
    X* panel = to.data() + first * inputs;
    const int64_t width = std::min(kPanel, rows.width - first);
    for (int64_t row = 0; row < rows.count; row++) {
      const X* from = rows.x + row * rows.stride + first;
      X* place = panel + row / kBeside<X> * kBeside<X> * kPanel + row % kBeside<X>;
      for (int64_t n = 0; n < width; n++) place[n * kBeside<X>] = from[n];
    }
  }
}

// Row (lane % 16) places above row 15: out[r] takes its lane l from rows[r + 15 - l]. Each step moves those lanes up by 1, 2, 4 and 8 rows
// whose number has that bit.
constexpr int64_t kLeanRows = kTile + kLanes - 1;
template <int Bit>
inline void leanBy(Float16 (&rows)[kLeanRows], int64_t first) {
  constexpr Int16 moves = {0,
                           Bit & 1 ? -1 : 0,
                           Bit & 2 ? -1 : 0,
                           Bit & 3 ? -1 : 0,
                           Bit & 4 ? -1 : 0,
                           Bit & 5 ? -1 : 0,
                           Bit & 6 ? -1 : 0,
                           Bit & 7 ? -1 : 0,
                           Bit & 8 ? -1 : 0,
                           Bit & 9 ? -1 : 0,
                           Bit & 10 ? -1 : 0,
                           Bit & 11 ? -1 : 0,
                           Bit & 12 ? -1 : 0,
                           Bit & 13 ? -1 : 0,
                           Bit & 14 ? -1 : 0,
                           Bit & 15 ? -1 : 0};
  for (int64_t r = kLeanRows - 1; r >= first; r--) rows[r] = moves ? rows[r - Bit] : rows[r];
}
inline void lean(const float* from, Float16 (&rows)[kLeanRows]) {
  for (int64_t r = 0; r < kLeanRows; r++) rows[r] = load(from + r * kPanel);
  leanBy<1>(rows, 1);
  leanBy<2>(rows, 3);
  leanBy<4>(rows, 7);
  leanBy<8>(rows, 15);
}

// Relative keys or queries of one head by distance, for sequences of up to so many tiles: row w holds distance w - (32 tiles - 1).
template <typename X>
void rowsByDistance(const at::Tensor& relative, int64_t head, at::IntArrayRef rows, int64_t tiles, bool isReversed,
                    int64_t room, std::vector<X>& to) {
  const int64_t width = relative.size(2), stride = relative.stride(0), middle = static_cast<int64_t>(rows.size()) / 2;
  const X* from = relative.data_ptr<X>() + head * width;
  to.assign(2 * tiles * kTile * room, X(0.0f));
  for (int64_t w = 0; w < 2 * tiles * kTile; w++) {
    const int64_t distance = w - (tiles * kTile - 1), place = middle + (isReversed ? -distance : distance);
    // Beyond the table there is no pair of tokens.
    if (place >= 0 && place < static_cast<int64_t>(rows.size()))
      std::copy_n(from + rows[place] * stride, width, to.data() + w * room);
  }
}

// One head of all sequences.
template <typename X>
class Head {
 public:
  Head(int64_t width, int64_t tiles) : width_(width), room_(tilesFor(width) * kTile), most_(tiles) {}

  void readRelative(const std::optional<at::Tensor>& keys, const std::optional<at::Tensor>& queries,
                    at::IntArrayRef rows, int64_t head) {
    hasKeys_ = keys.has_value() && keys->defined();
    hasQueries_ = queries.has_value() && queries->defined();
    std::vector<X> byDistance;
    if (hasKeys_) {
      rowsByDistance(*keys, head, rows, most_, true, room_, byDistance);
      panelsOfRows(byDistance, room_, relativeKeys_);
    }
    if (hasQueries_) rowsByDistance(*queries, head, rows, most_, false, room_, relativeQueries_);
  }

  void attend(const HeadRows<X>& q, const HeadRows<X>& k, const HeadRows<X>& v, float scale, X* out, int64_t stride) {
    tiles_ = tilesFor(k.count);
    keys_ = k.count;
    padRows(k, room_, padded_);
    panelsOfRows(padded_, room_, keyPanels_);
    padRows(q, room_, queries_);
    panelsOfNumbers(v, valuePanels_);
    rowLength_ = tiles_ * kTile + 2 * kTile;
    scores_.resize(kTile * rowLength_);
    weights_.resize(kTile * tiles_ * kTile);
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
      const X* rows = relativeQueries_.data() + (first - keyTile + most_ - 1) * kTile * room_;
      for (int64_t t = 0; t <= last - first; t++)
        product_(rows + t * kTile * room_, room_, keyPanels_.data() + keyTile * kTile * room_,
                 distancesOf(keyTile) + t * kSquare, kTile, false);
    }
  }

  void score(int64_t tile, int64_t inGroup, int64_t count) {
    const X* rows = queries_.data() + tile * kTile * room_;
    alignas(64) float square[kSquare];
    for (int64_t t = 0; hasKeys_ && t <= tiles_; t++) {
      product_(rows, room_, relativeKeys_.data() + (most_ - 1 - tile + t) * kTile * room_, square, count, false);
      for (int64_t i = 0; i < count; i++) {
        float* to = scoresOf(i) + (t - 1) * kTile + i + 1;
        store(to, load(square + i * kPanel));
        store(to + kLanes, load(square + i * kPanel + kLanes));
      }
    }
    if (!hasKeys_) std::fill(scores_.begin(), scores_.end(), 0.0f);
    for (int64_t keyTile = 0; keyTile < tiles_; keyTile++) {
      product_(rows, room_, keyPanels_.data() + keyTile * kTile * room_, square, count, false);
      for (int64_t half = 0; half < kPanel; half += kLanes) {
        Float16 leaned[kLeanRows];
        if (hasQueries_) lean(distancesOf(keyTile) + (inGroup * kTile + kLanes - half) * kPanel + half, leaned);
        for (int64_t i = 0; i < count; i++) {
          float* to = scoresOf(i) + keyTile * kTile + half;
          Float16 sum = load(to) + load(square + i * kPanel + half);
          if (hasQueries_) sum += leaned[i + kLanes - 1];
          store(to, sum);
        }
      }
    }
  }

  // Scores of a query become weights, of which the largest is 1; returns one over their sum.
  float weigh(int64_t query, float scale) {
    float* scores = scoresOf(query);
    const int64_t room = tiles_ * kTile;
    std::fill(scores + keys_, scores + room, -INFINITY);
    Float16 best = splat(-INFINITY), total = splat(0);
    for (int64_t j = 0; j < room; j += kLanes) best = maximum(best, load(scores + j));
    const float top = largest(best) * scale;
    for (int64_t j = 0; j < room; j += kLanes) {
      const Float16 weight = exponential(load(scores + j) * scale - top);
      store(weights_.data() + query * room + j, weight);
      total += weight;
    }
    return 1.0f / sum(total);
  }

  void combine(const float* inverses, int64_t count, X* out, int64_t stride) {
    const int64_t inputs = tiles_ * kTile;
    alignas(64) float sums[kSquare];
    for (int64_t first = 0; first < width_; first += kPanel) {
      product_(weights_.data(), inputs, valuePanels_.data() + first * inputs, sums, count, false);
      for (int64_t i = 0; i < count; i++) {
        for (int64_t n = 0; n < std::min(kPanel, width_ - first); n += kLanes)
          store(out + i * stride + first + n, load(sums + i * kPanel + n) * inverses[i], width_ - first - n);
      }
    }
  }

  const RowsByPanel<X> product_ = kernelFor(static_cast<const X*>(nullptr));
  int64_t width_, room_, most_;  // of a head's numbers, padded; tiles of the longest sequence
  bool hasKeys_ = false, hasQueries_ = false;
  int64_t tiles_ = 0, keys_ = 0, rowLength_ = 0;
  std::vector<X> relativeKeys_, relativeQueries_, padded_, queries_, keyPanels_, valuePanels_, weights_;
  std::vector<float> scores_, distances_;
};

template <typename X>
void attendAll(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
               const std::optional<at::Tensor>& relativeKeys, const std::optional<at::Tensor>& relativeQueries,
               at::IntArrayRef rows, at::IntArrayRef sequences, float scale, at::Tensor& out) {
  const int64_t heads = q.size(1), width = q.size(2);
  int64_t longest = 0;
  for (size_t i = 1; i < sequences.size(); i += 2) longest = std::max(longest, sequences[i]);
  shareTasks(heads, [&](int64_t head) {
    std::optional<AmxTiles> prepared;
    if (std::is_same_v<X, Bf16> && fastestBf16Path() == Bf16Path::amx) prepared.emplace();
    Head<X> one(width, tilesFor(longest));
    one.readRelative(relativeKeys, relativeQueries, rows, head);
    int64_t start = 0;
    for (size_t i = 1; i < sequences.size(); i += 2) {
      const int64_t count = sequences[i];
      const auto of = [&](const at::Tensor& x) {
        return HeadRows<X>{x.data_ptr<X>() + start * x.stride(0) + head * width, x.stride(0), count, width};
      };
      one.attend(of(q), of(k), of(v), scale, out.data_ptr<X>() + (start * heads + head) * width, heads * width);
      start += count;
    }
  });
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
                                 at::IntArrayRef sequences) {
  checkDisentangled(q, k, v, relativeKeys, relativeQueries, rows, queryPositions, keyPositions, sequences);
  if ((q.scalar_type() != at::kFloat && q.scalar_type() != at::kBFloat16) ||
      !isWhole(queryPositions, keyPositions, sequences))
    return composite::disentangledAttention(q, k, v, relativeKeys, relativeQueries, rows, queryPositions, keyPositions,
                                            sequences);
  const auto byRowsOrNone = [](const std::optional<at::Tensor>& x) {
    return x.has_value() && x->defined() ? std::optional<at::Tensor>(x->contiguous()) : std::nullopt;
  };
  const auto keys = byRowsOrNone(relativeKeys), queries = byRowsOrNone(relativeQueries);
  const int64_t terms = 1 + (keys.has_value() ? 1 : 0) + (queries.has_value() ? 1 : 0);
  const float scale = 1.0f / std::sqrt(static_cast<float>(terms * q.size(2)));
  at::Tensor out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options());
  if (q.scalar_type() == at::kFloat) {
    attendAll<float>(byRows(q), byRows(k), byRows(v), keys, queries, rows, sequences, scale, out);
  } else {
    attendAll<Bf16>(byRows(q), byRows(k), byRows(v), keys, queries, rows, sequences, scale, out);
  }
  return out;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("disentangled_attention", &selm::disentangledAttention);
}
