// Products of a panel in fp32, on every processor.
#include <array>
#include <utility>

#include "../checks.h"
#include "panels.h"

namespace selm {
namespace {

constexpr int64_t kRows = 8;  // rows a block: 8 x 2 vectors of sums stay in registers

// A bf16 pair is read as one 32-bit number; the first input is its lower half.
typedef uint32_t Pairs16 __attribute__((vector_size(64), aligned(4), may_alias));
inline Float16 firstOfPairs(Pairs16 pairs) { return reinterpret_cast<Float16>(pairs << 16); }
inline Float16 secondOfPairs(Pairs16 pairs) { return reinterpret_cast<Float16>(pairs & 0xffff0000u); }

// Two inputs at a time from a panel's row of pairs, or of two rows of fp32.
struct TwoInputs {
  Float16 first[2], second[2];
  explicit TwoInputs(const c10::BFloat16* panel) {
    for (int half = 0; half < 2; half++) {
      const Pairs16 pairs = *reinterpret_cast<const Pairs16*>(panel + half * 2 * kLanes);
      first[half] = firstOfPairs(pairs);
      second[half] = secondOfPairs(pairs);
    }
  }
  explicit TwoInputs(const float* panel) {
    for (int half = 0; half < 2; half++) {
      first[half] = load(panel + half * kLanes);
      second[half] = load(panel + kPanel + half * kLanes);
    }
  }
};

// y [Rows, 32] = x [Rows, inputs] times a panel, in fp32.
template <int Rows, typename X, typename W>
void rowsByPanel(const X* x, int64_t inputs, const W* panel, float* y) {
  Float16 sums[Rows][2] = {};
  for (int64_t k = 0; k < inputs; k += 2) {
    const TwoInputs weights(panel + k * kPanel);
    for (int r = 0; r < Rows; r++) {
      const Float16 first = splat(static_cast<float>(x[r * inputs + k])),
                    second = splat(static_cast<float>(x[r * inputs + k + 1]));
      for (int half = 0; half < 2; half++) {
        sums[r][half] += first * weights.first[half];
        sums[r][half] += second * weights.second[half];
      }
    }
  }
  for (int r = 0; r < Rows; r++) {
    store(y + r * kPanel, sums[r][0]);
    store(y + r * kPanel + kLanes, sums[r][1]);
  }
}

template <typename X, typename W, size_t... Counts>
void someRows(const X* x, int64_t inputs, const W* panel, float* y, int64_t rows, std::index_sequence<Counts...>) {
  static constexpr std::array<void (*)(const X*, int64_t, const W*, float*), sizeof...(Counts)> kernels{
      &rowsByPanel<Counts + 1, X, W>...};
  kernels[rows - 1](x, inputs, panel, y);
}

template <typename X, typename W>
void rowsInBlocks(const X* x, int64_t inputs, const W* panel, float* y, int64_t rows) {
  for (int64_t row = 0; row < rows; row += kRows) {
    someRows(x + row * inputs, inputs, panel, y + row * kPanel, std::min(kRows, rows - row),
             std::make_index_sequence<kRows>());
  }
}

}  // namespace

void vectorPanel(const float* x, int64_t inputs, const float* panel, float* y, int64_t rows, bool) {
  rowsInBlocks(x, inputs, panel, y, rows);
}
void vectorPanel(const float* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool) {
  rowsInBlocks(x, inputs, panel, y, rows);
}
void vectorPanel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool) {
  rowsInBlocks(x, inputs, panel, y, rows);
}

}  // namespace selm
