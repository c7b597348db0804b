// What every way to compute attention over prompt trees shares: the trees of a stream, and which keys a block of queries sees.
#pragma once
#include <vector>

#include "../segments.h"
#include "vector.h"

namespace selm {

// What attention does to its scores. 0 is none: no window, no soft cap.
struct Rule {
  float scale;
  int64_t window;
  float softCap;
};
// Segments [first, last) on tokens [start, start + length); they share nothing with other trees. A root may be known: its tokens
// are keys without queries. Queries are those of segments [asking, last), and `known` tokens up to here have none.
struct Tree {
  size_t first, last;
  int64_t start, length;
  size_t asking;
  int64_t known;
};

inline std::vector<Tree> treesOf(const std::vector<Segment>& segments, at::IntArrayRef knownRoots = {}) {
  std::vector<Tree> trees;
  int64_t known = 0;
  for (size_t i = 0; i < segments.size(); i++) {
    if (segments[i].parent < 0) {
      const bool isKnown = std::find(knownRoots.begin(), knownRoots.end(), static_cast<int64_t>(i)) != knownRoots.end();
      known += isKnown ? segments[i].length : 0;
      trees.push_back({i, i, segments[i].start, 0, isKnown ? i + 1 : i, known});
    }
    trees.back().last = i + 1;
    trees.back().length += segments[i].length;
  }
  return trees;
}

inline int64_t padded(int64_t count) { return (count + 2 * kLanes - 1) / (2 * kLanes) * 2 * kLanes; }

// Keys [begin, begin + count) of a tree, all of one segment, where the first of them lies on the path, and where their scores
// lie in a block's buffer (whole pairs of vectors).
struct Range {
  size_t segment;
  int64_t begin, count, position, at;
};

// Some queries of one segment (four here): which keys they see, and their scores' buffer. Missing queries (at a segment's end)
// are zero. A prompt of five tokens and its continuation, the queries being the continuation's tokens 4 to 7. Each range of keys takes
// whole vectors of sixteen places; # is a score, and . is hidden: later than the query, or a place without a key.
//
//            range 0: the prompt     range 1: the segment's own keys, up to the last query
//   place    0 1 2 3 4 | 5 to 15     16 17 18 19 20 21 22 23 | 24 to 31
//   query 4  # # # # #   .            #  #  #  #  #  .  .  .   .
//   query 5  # # # # #   .            #  #  #  #  #  #  .  .   .
//   query 6  # # # # #   .            #  #  #  #  #  #  #  .   .
//   query 7  # # # # #   .            #  #  #  #  #  #  #  #   .
//
// `room` is the width of a row, 32 here. A window hides keys at the left of each row too, and whole ranges before it.
struct Block {
  int64_t first, count;  // tokens of the tree
  int64_t position;      // of the first query on the path
  int64_t window;
  std::vector<Range> ranges;
  int64_t room = 0;

  // The queries from an offset in their segment on, and at most how many.
  struct Queries {
    int64_t offset, most;
  };
  Block(const std::vector<Segment>& segments, const Tree& tree, size_t own, Queries queries, int64_t window_)
      : position(segments[own].position + queries.offset), window(window_) {
    const Segment& segment = segments[own];
    first = segment.start - tree.start + queries.offset;
    count = std::min(queries.most, segment.length - queries.offset);
    for (int64_t a = segment.parent; a >= 0; a = segments[a].parent) {
      add({static_cast<size_t>(a), segments[a].start - tree.start, segments[a].length, segments[a].position, 0});
    }
    add({own, segment.start - tree.start, queries.offset + count, segment.position,
         0});  // the last range is the segment's own
  }
  // Of a range, the keys that the first query's window still reaches, and those that share a panel of 32 with one.
  void add(Range range) {
    const int64_t hidden = window > 0 ? std::max<int64_t>(0, position - window + 1 - range.position) / 32 * 32 : 0;
    if (hidden >= range.count) return;
    ranges.push_back({range.segment, range.begin + hidden, range.count - hidden, range.position + hidden, room});
    room += padded(range.count - hidden);
  }
  // Calls body(from, to) for the places of query q that hold no key it may see.
  template <typename Body>
  void forHidden(int64_t q, Body body) const {
    for (const Range& range : ranges) {
      const int64_t seen = std::min(range.count, position + q + 1 - range.position);
      body(range.at + seen, range.at + padded(range.count));
      if (window > 0 && position + q - window >= range.position) {
        body(range.at, range.at + std::min(range.count, position + q - window + 1 - range.position));
      }
    }
  }
};

// Calls body(block, row of q of its first query) for the queries of a tree, at most so many at a time.
template <typename Body>
void forBlocks(const std::vector<Segment>& segments, const Tree& tree, int64_t most, int64_t window, Body body) {
  for (size_t s = tree.asking; s < tree.last; s++) {
    for (int64_t offset = 0; offset < segments[s].length; offset += most) {
      const Block block(segments, tree, s, {offset, most}, window);
      body(block, tree.start + block.first - tree.known);
    }
  }
}

// Applies the soft cap to products of queries and keys, if there is one. Returns the factor that is still to be applied.
inline float capScores(float* scores, int64_t count, const Rule& rule) {
  if (rule.softCap <= 0) return rule.scale;
  for (int64_t j = 0; j < count; j += kLanes)
    store(scores + j, softCapped(load(scores + j) * rule.scale, rule.softCap));
  return 1.0f;
}

}  // namespace selm
