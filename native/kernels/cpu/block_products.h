// Products of a block of rows with one panel, or with several whose results are written together, in the order that the caches like.
#pragma once
#include <ATen/ops/empty.h>

#include <array>

#include "../checks.h"
#include "panels.h"

namespace selm {

template <typename X, typename W>
using PanelKernel = void (*)(const X*, int64_t, const W*, float*, int64_t, bool);

// Rows as a panel's kernel reads them, `width` numbers from one to the next, with room for whole tiles.
template <typename X>
struct BlockRows {
  const X* x;
  int64_t count, width;
};

// Both of these multiply a block of rows with a task's panels, and call done.fetch(row, rows) before and done.write(row, rows, results) after the
// last sums of 32 rows: results [panels] of [32, 32].
//
// A group of 32 rows after the other, all inputs at once.
template <typename X, typename W>
struct InGroups {
  PanelKernel<X, W> kernel;

  template <size_t kPanels, typename Done>
  void multiply(const BlockRows<X>& rows, const std::array<const W*, kPanels>& panels, int64_t inputs, at::Tensor&,
                const Done& done) const {
    alignas(64) float sums[kPanels][kTileRows * kPanel];
    std::array<const float*, kPanels> results;
    for (size_t i = 0; i < kPanels; i++) results[i] = sums[i];
    for (int64_t row = 0; row < rows.count; row += kTileRows) {
      const int64_t some = std::min(kTileRows, rows.count - row);
      done.fetch(row, some);
      for (size_t i = 0; i < kPanels; i++)
        kernel(rows.x + row * rows.width, inputs, panels[i], sums[i], some, row == 0);
      done.write(row, some, results);
    }
  }
};

// By AMX. Some inputs after the other, each for all rows: what they need of a panel then stays in the first-level cache, where all of it would
// come from the second one again for each group of rows. Meanwhile the stretch that follows in memory is fetched.
//
//   panel   inputs 0 .. 287: rows 0 .. 31, rows 32 .. 63, ...   sums begin
//           inputs 288 .. 575: rows 0 .. 31, ...                sums go on
struct InStretches {
  // Inputs of about so many, in stretches of equal length. Many rows have time to fetch a long one; few wait for memory, and a short one is
  // asked for nearer to its use (measured with 560 rows and with 64: each is 5 and 13 % slower with the other's length).
  static int64_t stretchOf(int64_t inputs, int64_t groups) {
    const int64_t most = groups < 4 ? 192 : 288, stretches = (inputs + most - 1) / most;
    return (inputs + stretches * kStep - 1) / (stretches * kStep) * kStep;
  }

  template <size_t kPanels, typename Done>
  void multiply(const BlockRows<c10::BFloat16>& rows, const std::array<const c10::BFloat16*, kPanels>& panels,
                int64_t inputs, at::Tensor& scratch, const Done& done) const {
    const int64_t groups = roomFor(rows.count) / kTileRows;
    if (groups < 2)
      return InGroups<c10::BFloat16, c10::BFloat16>{amxPanel}.multiply(rows, panels, inputs, scratch, done);
    const int64_t stretch = stretchOf(inputs, groups), square = kTileRows * kPanel, size = kPanels * groups * square;
    if (!scratch.defined() || scratch.numel() < size) scratch = at::empty({size}, at::kFloat);
    float* const sums = scratch.data_ptr<float>();
    for (size_t panel = 0; panel < kPanels; panel++) {
      for (int64_t input = 0; input < inputs; input += stretch) {
        const int64_t count = std::min(stretch, inputs - input);
        const bool isLast = panel + 1 == kPanels && input + count == inputs;
        const c10::BFloat16* weights = panels[panel] + input * kPanel;
        for (int64_t group = 0; group < groups; group++) {
          const int64_t row = group * kTileRows, some = std::min(kTileRows, rows.count - row);
          if (isLast) done.fetch(row, some);
          amxRowTiles({rows.x + row * rows.width + input, rows.width, rows.width * kTileRows / 2, kStep}, count,
                      weights, sums + (panel * groups + group) * square, input > 0,
                      Ahead::shareOf(group, groups, weights + count * kPanel, count));
          if (!isLast) continue;
          std::array<const float*, kPanels> results;
          for (size_t i = 0; i < kPanels; i++) results[i] = sums + (i * groups + group) * square;
          done.write(row, some, results);
        }
      }
    }
  }
};

// fp32 rows in pieces, by AMX, in stretches too: the small pieces go through all of a panel before the first ones do. Meanwhile the next panel
// is fetched, stretch by stretch, by every piece of every group of rows.
struct PiecesInStretches {
  static constexpr int64_t kStretch = 192;  // 12 KiB of a panel: the pieces of 32 rows fit beside it

  template <size_t kPanels, typename Done>
  void multiply(const BlockRows<c10::BFloat16>& rows, const std::array<const c10::BFloat16*, kPanels>& panels,
                int64_t inputs, at::Tensor& scratch, const Done& done) const {
    const int64_t groups = roomFor(rows.count) / kTileRows, square = kTileRows * kPanel,
                  size = kPanels * groups * square;
    if (!scratch.defined() || scratch.numel() < size) scratch = at::empty({size}, at::kFloat);
    float* const sums = scratch.data_ptr<float>();
    for (size_t panel = 0; panel < kPanels; panel++) {
      for (const bool isFirstPiece : {false, true}) {
        for (int64_t input = 0; input < inputs; input += kStretch) {
          const int64_t count = std::min(kStretch, inputs - input);
          const bool isLast = panel + 1 == kPanels && isFirstPiece && input + count == inputs;
          const c10::BFloat16 *weights = panels[panel] + input * kPanel, *next = weights + inputs * kPanel;
          for (int64_t group = 0; group < groups; group++) {
            const int64_t row = group * kTileRows, some = std::min(kTileRows, rows.count - row);
            const c10::BFloat16* x = rows.x + row * rows.width + input * kTileRows * kPieces;
            float* to = sums + (panel * groups + group) * square;
            if (isLast) done.fetch(row, some);
            if (isFirstPiece)
              amxFirstPieces(x, count, weights, to, some, Ahead::shareOf(2 * groups + group, 3 * groups, next, count));
            else
              amxSmallPieces(x, count, weights, to, some, input > 0,
                             Ahead::shareOf(2 * group, 3 * groups, next, count));
            if (!isLast) continue;
            std::array<const float*, kPanels> results;
            for (size_t i = 0; i < kPanels; i++) results[i] = sums + (i * groups + group) * square;
            done.write(row, some, results);
          }
        }
      }
    }
  }
};

}  // namespace selm
