// Attention over prompt trees by LibTorch's flash attention for sequences of different lengths. It knows no trees, so it is
// called for parts of one, and the parts are put together: a softmax over all keys is the mean of the softmaxes over the
// keys of each part, weighted by the sums of their exponentials.
//
//   p p p p c c c d d      part 0: every segment with itself, causal
//                          part 1: c c c d d against p p p p, each query against all keys
//   out = sum_i out_i exp(lse_i - lse),   lse = log sum_i exp(lse_i)
//
// The backward pass gives every part the merged out and lse: exp(score - lse) is then a key's true probability, and the
// part's gradient is its exact share. A window is no matter of parts: each segment is called with a copy of what it sees of
// its ancestors before its own keys.
#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <vector>

#include "composite.h"
#include "segments.h"
#include "upload.h"

namespace selm::composite {
namespace {

// What the operators take: half types, whole multiples of 8 a head up to 256, and scores as they are.
bool goesByFlash(const at::Tensor& q, double softCap) {
  const bool isHalf = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  return isHalf && softCap == 0 && q.size(2) % 8 == 0 && q.size(2) <= 256;
}

// Which rows sequences are made of: all of the stream in its order, each at most once, or some more than once.
enum class Rows { whole, distinct, shared };

// Sequences that lie one after the other: the stream's rows that they are made of, and where each ends.
struct Sequences {
  Rows kind;
  std::vector<int64_t> rows;
  std::vector<int64_t> ends{0};
  int64_t longest = 0;

  explicit Sequences(Rows kind_) : kind(kind_) {}

  void add(int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; row++) rows.push_back(row);
  }
  void close() {
    longest = std::max(longest, static_cast<int64_t>(rows.size()) - ends.back());
    ends.push_back(static_cast<int64_t>(rows.size()));
  }
};

// Sequences where they are attended.
struct Side {
  at::Tensor rows;  // int64; not defined where they are the whole stream in its order
  at::Tensor ends;  // int32 [sequences + 1]
  int64_t longest;
  bool areDistinct;  // no row stands in two sequences

  at::Tensor of(const at::Tensor& stream) const {
    return rows.defined() ? stream.index_select(0, rows) : stream.contiguous();
  }
};

// One call of the operators.
struct Part {
  Side queries, keys;
  bool isCausal;
  int64_t left, right;  // window sizes; -1 is none
};

using Parts = std::vector<Part>;

// A part before it is on the device.
struct PlannedPart {
  Sequences queries, keys;
  bool isCausal;
  int64_t left, right;
};

using Plan = std::vector<PlannedPart>;

// Puts the numbers of all parts on the device, in one copy.
Parts placed(const Plan& plan, at::Device device) {
  std::vector<int64_t> rows, ends;
  const auto append = [](std::vector<int64_t>& to, const std::vector<int64_t>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (const PlannedPart& part : plan)
    for (const Sequences* side : {&part.queries, &part.keys}) {
      if (side->kind != Rows::whole) append(rows, side->rows);
      append(ends, side->ends);
    }
  const auto rowCount = static_cast<int64_t>(rows.size()), endCount = static_cast<int64_t>(ends.size());
  append(rows, ends);
  const at::Tensor numbers = onDevice(rows, device), allEnds = numbers.narrow(0, rowCount, endCount).to(at::kInt);
  int64_t row = 0, end = 0;
  const auto take = [](const at::Tensor& from, int64_t& first, size_t count) {
    const at::Tensor part = from.narrow(0, first, static_cast<int64_t>(count));
    first += static_cast<int64_t>(count);
    return part;
  };
  const auto place = [&](const Sequences& side) {
    const at::Tensor own = side.kind == Rows::whole ? at::Tensor() : take(numbers, row, side.rows.size());
    return Side{own, take(allEnds, end, side.ends.size()), side.longest, side.kind != Rows::shared};
  };
  Parts parts;
  for (const PlannedPart& part : plan) {
    const Side queries = place(part.queries);
    parts.push_back({queries, place(part.keys), part.isCausal, part.left, part.right});
  }
  return parts;
}

Sequences eachSegment(const std::vector<Segment>& segments) {
  Sequences own(Rows::whole);
  for (const Segment& s : segments) {
    own.add(s.start, s.length);
    own.close();
  }
  return own;
}

// Without a window: every segment with itself, and for each distance the segments that have an ancestor there.
Plan partsByDistance(const std::vector<Segment>& segments) {
  const Sequences own = eachSegment(segments);
  Plan parts{{own, own, true, -1, -1}};
  std::vector<int64_t> ancestor(segments.size());
  for (size_t i = 0; i < segments.size(); i++) ancestor[i] = segments[i].parent;
  while (std::any_of(ancestor.begin(), ancestor.end(), [](int64_t a) { return a >= 0; })) {
    std::map<int64_t, std::vector<size_t>> descendants;
    for (size_t i = 0; i < segments.size(); i++)
      if (ancestor[i] >= 0) descendants[ancestor[i]].push_back(i);
    Sequences queries(Rows::distinct), keys(Rows::distinct);
    for (const auto& [key, of] : descendants) {
      for (const size_t i : of) queries.add(segments[i].start, segments[i].length);
      queries.close();
      keys.add(segments[key].start, segments[key].length);
      keys.close();
    }
    parts.push_back({queries, keys, false, -1, -1});
    for (int64_t& a : ancestor)
      if (a >= 0) a = segments[a].parent;
  }
  return parts;
}

// With a window: every segment with itself and the end of its path, as far as its first token sees.
Plan partsByWindow(const std::vector<Segment>& segments, int64_t window) {
  Sequences keys(Rows::shared);
  for (const Segment& s : segments) {
    std::vector<std::pair<int64_t, int64_t>> before;  // (first, count), the nearest ancestor first
    int64_t left = window - 1;
    for (int64_t a = s.parent; a >= 0 && left > 0; a = segments[a].parent) {
      const int64_t count = std::min(left, segments[a].length);
      before.emplace_back(segments[a].start + segments[a].length - count, count);
      left -= count;
    }
    for (auto each = before.rbegin(); each != before.rend(); ++each) keys.add(each->first, each->second);
    keys.add(s.start, s.length);
    keys.close();
  }
  return {{eachSegment(segments), keys, false, window - 1, 0}};
}

// The layers of a model ask with the same trees one after the other, and again in the backward pass: what was placed on the
// device for them is kept. Never freed, because the device may be gone when the process ends.
Parts partsOf(at::IntArrayRef flat, int64_t tokens, int64_t window, at::Device device) {
  struct Kept {
    std::vector<int64_t> flat;
    int64_t window;
    at::Device device;
    Parts parts;
  };
  constexpr size_t kMost = 8;
  static auto& mutex = *new std::mutex;
  static auto& kept = *new std::list<Kept>;
  const auto segments = readSegments(flat, tokens);
  int64_t longest = 0;
  for (const Segment& s : segments) longest = std::max(longest, s.position + s.length);
  const int64_t seen = window >= longest ? 0 : window;
  const std::lock_guard lock(mutex);
  const auto found = std::find_if(kept.begin(), kept.end(), [&](const Kept& each) {
    return each.window == seen && each.device == device && flat.equals(each.flat);
  });
  if (found != kept.end()) return found->parts;
  const Plan plan = seen > 0 ? partsByWindow(segments, seen) : partsByDistance(segments);
  kept.push_front({flat.vec(), seen, device, placed(plan, device)});
  if (kept.size() > kMost) kept.pop_back();
  return kept.front().parts;
}

std::tuple<at::Tensor, at::Tensor> flashForward(const Part& part, const at::Tensor& q, const at::Tensor& k,
                                                const at::Tensor& v, double scale) {
  auto result = at::_flash_attention_forward(part.queries.of(q), part.keys.of(k), part.keys.of(v), part.queries.ends,
                                             part.keys.ends, part.queries.longest, part.keys.longest, 0.0,
                                             part.isCausal, false, scale, part.left, part.right);
  return {std::get<0>(result), std::get<1>(result)};
}

// LibTorch's choice of deterministic kernels, for as long as this lives: otherwise gradients of keys are added up in any
// order.
class Deterministic {
 public:
  Deterministic() {
    at::globalContext().setDeterministicAlgorithms(true, false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  ~Deterministic() {
    at::globalContext().setDeterministicAlgorithms(before_, warnedOnly_);
    at::globalContext().setDeterministicFillUninitializedMemory(filled_);
  }
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;

 private:
  const bool before_ = at::globalContext().deterministicAlgorithms();
  const bool warnedOnly_ = at::globalContext().deterministicAlgorithmsWarnOnly();
  const bool filled_ = at::globalContext().deterministicFillUninitializedMemory();
};

// Adds a side's rows to those of the stream, of which `like` has the shape.
void addTo(at::Tensor& sum, const at::Tensor& like, const Side& side, const at::Tensor& rows) {
  if (!side.rows.defined()) {
    sum = sum.defined() ? sum.add_(rows) : rows;
    return;
  }
  if (!sum.defined()) sum = at::zeros_like(like);
  if (side.areDistinct) {
    sum.index_copy_(0, side.rows, sum.index_select(0, side.rows).add_(rows));
    return;
  }
  const Deterministic inOrder;
  const at::Tensor wide = at::zeros(like.sizes(), like.options().dtype(at::kFloat));
  sum.add_(wide.index_add_(0, side.rows, rows.to(at::kFloat)));
}

using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

Gradients flashBackward(const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& out, const at::Tensor& logSums, const Parts& parts, double scale) {
  at::Tensor dq, dk, dv;
  // Nothing is dropped: what the numbers of dropout would come from is not read.
  const at::Tensor randomState = at::zeros({2}, q.options().dtype(at::kUInt64)), unused = at::empty({0}, q.options());
  for (const Part& part : parts) {
    auto [partQ, partK, partV] = [&] {
      const Deterministic inOrder;
      return at::_flash_attention_backward(
          part.queries.of(gradient), part.queries.of(q), part.keys.of(k), part.keys.of(v), part.queries.of(out),
          part.queries.of(logSums).t().contiguous(), part.queries.ends, part.keys.ends, part.queries.longest,
          part.keys.longest, 0.0, part.isCausal, randomState, unused, scale, part.left, part.right);
    }();
    addTo(dq, q, part.queries, partQ);
    addTo(dk, k, part.keys, partK);
    addTo(dv, v, part.keys, partV);
  }
  return {dq, dk, dv};
}

// The composed way again, this time with a graph.
Gradients composedBackward(const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           at::IntArrayRef flat, double scale, int64_t window, double softCap) {
  const at::AutoGradMode recording(true);
  const auto leaf = [](const at::Tensor& x) { return x.detach().requires_grad_(true); };
  const at::Tensor leafQ = leaf(q), leafK = leaf(k), leafV = leaf(v);
  const at::Tensor out = treeAttention(leafQ, leafK, leafV, flat, scale, window, softCap);
  const auto found = torch::autograd::grad({out}, {leafQ, leafK, leafV}, {gradient});
  return {found[0], found[1], found[2]};
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> treeAttentionForward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                        at::IntArrayRef flat, double scale, int64_t window,
                                                        double softCap) {
  checkTreeAttention(q, k, v);
  // The composed way's backward pass needs no sums.
  if (!goesByFlash(q, softCap))
    return {treeAttention(q, k, v, flat, scale, window, softCap), at::empty({0}, q.options().dtype(at::kFloat))};
  const Parts parts = partsOf(flat, q.size(0), window, q.device());
  auto [out, firstSums] = flashForward(parts[0], q, k, v, scale);
  at::Tensor logSums = firstSums.t().contiguous();
  for (size_t i = 1; i < parts.size(); i++) {
    const auto [partOut, partSums] = flashForward(parts[i], q, k, v, scale);
    static const auto merge =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("selm::merge_attention_", "")
            .typed<void(at::Tensor&, at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
    merge.call(out, logSums, parts[i].queries.rows, partOut, partSums);
  }
  return {out, logSums};
}

// partSums [H, R], as flash attention gives them.
void mergeAttention_(at::Tensor& out, at::Tensor& logSums, const at::Tensor& rows, const at::Tensor& partOut,
                     const at::Tensor& partSums) {
  const at::Tensor part = partSums.t(), before = logSums.index_select(0, rows), sums = at::logaddexp(before, part);
  const auto weight = [&](const at::Tensor& of) { return (of - sums).exp().unsqueeze(2); };
  const at::Tensor merged = out.index_select(0, rows) * weight(before) + partOut * weight(part);
  out.index_copy_(0, rows, merged.to(out.scalar_type()));
  logSums.index_copy_(0, rows, sums);
}

Gradients treeAttentionBackward(const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k,
                                const at::Tensor& v, const at::Tensor& out, const at::Tensor& logSums,
                                at::IntArrayRef flat, double scale, int64_t window, double softCap) {
  if (!goesByFlash(q, softCap)) return composedBackward(gradient, q, k, v, flat, scale, window, softCap);
  return flashBackward(gradient, q, k, v, out, logSums, partsOf(flat, q.size(0), window, q.device()), scale);
}

}  // namespace selm::composite

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  library.impl("merge_attention_", &selm::composite::mergeAttention_);
  library.impl("tree_attention_forward", &selm::composite::treeAttentionForward);
  library.impl("tree_attention_backward", &selm::composite::treeAttentionBackward);
}
