// Prompt trees in a packed stream of tokens, as every backend of tree_attention reads them.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "checks.h"

namespace selm {

struct Segment {
  int64_t start, length, parent;
  int64_t position;  // of its first token on the path from the root
};

// Reads (start, length, parent) triples that cover a stream of `tokens`; refuses what is not a forest in its order.
inline std::vector<Segment> readSegments(at::IntArrayRef flat, int64_t tokens) {
  TORCH_CHECK(flat.size() % 3 == 0, "tree_attention: segments are triples (start, length, parent), got ", flat.size(),
              " numbers");
  std::vector<Segment> segments;
  int64_t next = 0;
  int64_t root = -1;
  for (size_t i = 0; i < flat.size(); i += 3) {
    Segment s{flat[i], flat[i + 1], flat[i + 2], 0};
    const auto index = static_cast<int64_t>(i / 3);
    TORCH_CHECK(s.start == next && s.length > 0, "tree_attention: segment ", index, " starts at ", s.start, " with ",
                s.length, " tokens, expected a start of ", next, " and at least one token");
    if (s.parent < 0) root = index;
    TORCH_CHECK(s.parent == -1 || (s.parent >= root && s.parent < index && root >= 0), "tree_attention: segment ",
                index, " has parent ", s.parent, ", which is not an earlier segment of its own tree");
    if (s.parent >= 0) s.position = segments[s.parent].position + segments[s.parent].length;
    segments.push_back(s);
    next = s.start + s.length;
  }
  TORCH_CHECK(next == tokens, "tree_attention: segments cover ", next, " of ", tokens, " tokens");
  return segments;
}

// Known roots are roots, and q has a row for each token of the rest.
inline void checkKnownRoots(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::vector<Segment>& segments, at::IntArrayRef known) {
  int64_t queries = k.size(0);
  for (const int64_t root : known) {
    TORCH_CHECK(root >= 0 && root < static_cast<int64_t>(segments.size()) && segments[root].parent < 0,
                "tree_attention_with_known: segment ", root, " is not a root");
    queries -= segments[root].length;
  }
  TORCH_CHECK(q.size(0) == queries, "tree_attention_with_known: ", q.size(0), " queries, expected ", queries);
  TORCH_CHECK(q.scalar_type() == k.scalar_type() && k.scalar_type() == v.scalar_type(),
              "tree_attention_with_known: q is ", q.scalar_type(), ", k ", k.scalar_type(), ", v ", v.scalar_type());
  checkHeads(q, k, v);
}

}  // namespace selm
