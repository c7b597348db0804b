// Tasks that are shared among threads which do not wait for each other. A parallel region of OpenMP ends when every thread of its team
// has been there, one that the system gives no core to right now as well; sampling has some three hundred regions a token, so that beside
// other programs it mostly waited (docs/LOG.md). Here whoever is there takes the next task, and the caller waits for nothing but tasks that
// somebody has begun.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

namespace selm {

// Calls body(task) for tasks 0 .. count - 1, in no order, on the calling thread and up to at::get_num_threads() - 1 helpers. Throws what
// a task threw, after all of them. Of two threads that call at the same time, one goes alone.
void shareTasks(int64_t count, const std::function<void(int64_t)>& body);
// Threads that may take part.
int64_t teamSize();

// Calls body(begin, end) for ranges that cover 0 .. size, none of them below `grain` (but the last). A thread takes several, so that a slower
// one takes fewer.
template <typename Body>
void shareRanges(int64_t size, int64_t grain, const Body& body) {
  constexpr int64_t kPiecesPerThread = 4;
  const int64_t pieces = std::min((size + grain - 1) / std::max<int64_t>(1, grain), teamSize() * kPiecesPerThread);
  if (size <= 0) return;
  if (pieces <= 1) return body(0, size);
  shareTasks(pieces, [&](int64_t piece) { body(size * piece / pieces, size * (piece + 1) / pieces); });
}

// Calls body(next) on every thread that takes part, where next() gives it its next one of 0 .. size - 1, and -1 when there is none left. Each
// thread takes neighbours, so that what one of them fetches for the next is fetched for itself; at the end of its own it takes from others.
//
//   thread 0   0 1 2 3 4 5 6 ->        |  thread 1   9 10 11 12 ->
//
// `grain` of them are worth a thread.
template <typename Body>
void shareRuns(int64_t size, int64_t grain, const Body& body) {
  const int64_t runs = std::min((size + grain - 1) / grain, teamSize());
  if (runs <= 1) {
    int64_t at = 0;
    return body([&] { return at < size ? at++ : int64_t{-1}; });
  }
  std::vector<std::atomic<int64_t>> taken(runs);
  shareTasks(runs, [&](int64_t own) {
    int64_t passed = 0;  // runs at whose end this thread has been
    body([&] {
      for (; passed < runs; passed++) {
        const int64_t run = (own + passed) % runs, begin = size * run / runs, end = size * (run + 1) / runs;
        const int64_t at = begin + taken[run]++;
        if (at < end) return at;
      }
      return int64_t{-1};
    });
  });
}

}  // namespace selm
