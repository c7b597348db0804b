// How threads share a product in pieces:
//
//   a [M, K]                b [K, N] in panels of 32 columns
//
//   +---------+             | panel 0 | panel 1 | ... | panel p | ...      As many panels as kSlabBytes hold are a slab. All threads pack one;
//   |  block  |             | K1      | K1      |     |         |          then each takes a block of rows, and of it as many inputs as stay in
//   +---------+             | K2      | K2      |     |         |          the larger cache (K1 and K2: a stretch), and multiplies these with
//   |  block  |             +---------+---------+-----+---------+          one panel after the other, kNearSteps at a time: so much of a panel
//   +---------+             | K3      | K3      |     |         |          stays in the nearest cache while the rows of the block pass by.
//                                     slab
//
// Where the left factor is a block or two and the right one has very many columns, as the head's vocabulary, all threads read the same packed
// blocks, and each packs the panels that it multiplies: they come from its own cache, and nobody waits for the others' slab.
//
// What stretches give is added up in y, whose block stays in the cache, too. Of more inputs than kSlabSteps only so many are packed at a time.
#include "piece_product.h"

#include <vector>

#include "../checks.h"
#include "paths.h"
#include "piece_tiles.h"
#include "product_results.h"
#include "team.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

// A step is 32 inputs.
constexpr int64_t kNearSteps = 4;
constexpr int64_t kStretchSteps = 12;
constexpr int64_t kSlabSteps = 64;
constexpr int64_t kBlockBytes = 768 << 10;  // of a block's packed rows
constexpr int64_t kSlabBytes = 8 << 20;
constexpr int64_t kStreamedBytes = 32 << 20;   // of results that no cache would hold until they are read
constexpr int64_t kMostGroups = 16;            // of 32 rows in a block
constexpr int64_t kManyColumns = 4096;         // for a few blocks of rows:
constexpr int64_t kFewBlocks = 2;              // as many stay in the larger cache beside a thread's panels
constexpr int64_t kPanelsBeside = 4;           // that a thread packs and multiplies together
constexpr int64_t kSums = kTileRows * kPanel;  // of a group and a panel

int64_t partsOf(int64_t size, int64_t part) { return (size + part - 1) / part; }

// Some inputs of two factors, and where they lie among the packed ones of their stretch.
struct Part {
  at::Tensor left, right;  // both by lanes: [M, inputs] and [N, inputs]
  int64_t firstStep;

  int64_t steps() const { return partsOf(left.size(1), kStep); }
};

// Inputs that are summed before anything is written, and where they lie among those of their slab.
struct Stretch {
  std::vector<Part> parts;
  int64_t firstStep, steps;
};

// Packs lanes from `first` on, in groups that lie `groupSize` apart. Lanes that lie beside each other are packed step by step, all groups'
// numbers of an input after each other, as they lie.
void packGroups(void (*pack)(const FloatLanes&, Bf16*), const at::Tensor& factor, int64_t first, int64_t groups,
                int64_t groupSize, Bf16* to) {
  const int64_t lane = factor.stride(0), next = factor.stride(1), inputs = factor.size(1);
  const int64_t depth = next == 1 ? inputs : kStep;
  for (int64_t input = 0; input < inputs; input += depth) {
    for (int64_t group = 0; group < groups; group++) {
      const int64_t at = first + group * kTileRows;
      pack({factor.data_ptr<float>() + at * lane + input * next, lane, next, std::min(kTileRows, factor.size(0) - at),
            std::min(depth, inputs - input)},
           to + group * groupSize + input / kStep * kGroupStep);
    }
  }
}

// Where sums go, and whether past the caches.
struct Target {
  Results<float> results;
  bool streams;

  void fetch(int64_t row, int64_t rows, int64_t column) const {
    if (!streams) results.fetch(row, rows, column);
  }
  void write(int64_t row, int64_t rows, int64_t column, const float* sums, const float* more) const {
    if (!streams) return results.write(row, rows, column, sums, more);
    const int64_t columns = results.columns, width = std::min(kPanel, columns - column);
    streamSums(results.y + row * columns + column, columns, rows, width, sums, more);
  }
};

at::Tensor room(int64_t numbers) { return at::empty({numbers}, at::TensorOptions().dtype(at::kBFloat16)); }

// A block of rows, packed.
struct Block {
  int64_t first, rows;
  at::Tensor packed;

  int64_t groups() const { return partsOf(rows, kTileRows); }
};

// Sums of a block and a panel, in the order of its rows.
void multiplyPanel(const Block& block, const Bf16* panel, int64_t steps, const Target& target, int64_t column) {
  alignas(64) float blockSums[kMostGroups * kSums], some[kSums];
  const Bf16* const rows = block.packed.data_ptr<Bf16>();
  const int64_t parts = partsOf(steps, kNearSteps);
  for (int64_t part = 0; part < parts; part++) {
    const int64_t begin = steps * part / parts, end = steps * (part + 1) / parts;
    for (int64_t group = 0; group < block.groups(); group++) {
      const int64_t row = group * kTileRows, count = std::min(kTileRows, block.rows - row);
      const bool isFirst = part == 0, isLast = part == parts - 1;
      float *const sums = blockSums + group * kSums, *const found = isFirst ? sums : some;
      if (isLast) target.fetch(block.first + row, count, column);
      multiplyPieces(rows + (group * steps + begin) * kGroupStep, panel + begin * kGroupStep, end - begin, found);
      if (isLast) {
        target.write(block.first + row, count, column, sums, isFirst ? nullptr : some);
      } else if (!isFirst) {
        for (int64_t i = 0; i < kSums; i += kLanes) store(sums + i, load(sums + i) + load(some + i));
      }
    }
  }
}

void packPanels(const std::vector<Stretch>& stretches, int64_t first, int64_t count, int64_t size, Bf16* to) {
  for (const Stretch& stretch : stretches) {
    for (const Part& part : stretch.parts)
      packGroups(rightTiles, part.right, first * kPanel, count, size,
                 to + (stretch.firstStep + part.firstStep) * kGroupStep);
  }
}

// Rows from `first` on, for one stretch.
Block packBlock(const Stretch& stretch, int64_t first, int64_t rows) {
  const int64_t size = stretch.steps * kGroupStep;
  Block block{first, rows, room(partsOf(rows, kTileRows) * size)};
  for (const Part& part : stretch.parts)
    packGroups(leftTiles, part.left, first, block.groups(), size,
               block.packed.data_ptr<Bf16>() + part.firstStep * kGroupStep);
  return block;
}

// Few blocks of rows and very many panels.
void multiplyBlocks(const std::vector<Stretch>& stretches, int64_t blocks, const Target& target) {
  const int64_t rows = stretches[0].parts[0].left.size(0), groups = partsOf(rows, kTileRows),
                size = static_cast<int64_t>(stretches.size());
  std::vector<Block> packedBlocks(blocks * size);
  shareTasks(blocks * size, [&](int64_t task) {
    const int64_t begin = groups * (task / size) / blocks * kTileRows,
                  end = groups * (task / size + 1) / blocks * kTileRows;
    packedBlocks[task] = packBlock(stretches[task % size], begin, std::min(rows, end) - begin);
  });
  const int64_t panelSize = (stretches.back().firstStep + stretches.back().steps) * kGroupStep;
  const int64_t panels = panelsFor(target.results.columns);
  shareTasks(partsOf(panels, kPanelsBeside), [&](int64_t task) {
    const int64_t first = task * kPanelsBeside, count = std::min(kPanelsBeside, panels - first);
    const at::Tensor packed = room(count * panelSize);
    Bf16* const own = packed.data_ptr<Bf16>();
    packPanels(stretches, first, count, panelSize, own);
    const AmxTiles prepared;
    for (int64_t block = 0; block < blocks; block++) {
      Target to = target;
      for (int64_t i = 0; i < size; i++) {
        for (int64_t panel = 0; panel < count; panel++)
          multiplyPanel(packedBlocks[block * size + i], own + panel * panelSize + stretches[i].firstStep * kGroupStep,
                        stretches[i].steps, to, (first + panel) * kPanel);
        to.results.goOn();
      }
    }
  });
}

// What all stretches give together, or is added to y.
void multiplyStretches(const std::vector<Stretch>& stretches, const Target& target) {
  const int64_t rows = stretches[0].parts[0].left.size(0), steps = stretches.back().firstStep + stretches.back().steps;
  const int64_t blockSize = stretches[0].steps * kGroupStep, panelSize = steps * kGroupStep;
  const int64_t panels = panelsFor(target.results.columns), groups = partsOf(rows, kTileRows), threads = teamSize();
  const int64_t most = std::clamp<int64_t>(kBlockBytes / (blockSize * sizeof(Bf16)), 1, kMostGroups);
  if (groups <= kFewBlocks * most && target.results.columns >= kManyColumns)
    return multiplyBlocks(stretches, partsOf(groups, most), target);
  // As many blocks for every thread, unless there are not as many groups: then threads share the panels, too.
  const int64_t blocks = std::min(groups, partsOf(partsOf(groups, most), threads) * threads);
  const int64_t columnTasks = blocks < threads ? threads : 1;
  const int64_t slab = std::clamp<int64_t>(kSlabBytes / (panelSize * sizeof(Bf16)), 1, panels);
  const at::Tensor packed = room(slab * panelSize);
  Bf16* const slabPanels = packed.data_ptr<Bf16>();
  for (int64_t first = 0; first < panels; first += slab) {
    const int64_t count = std::min(slab, panels - first);
    shareRanges(count, 1, [&](int64_t begin, int64_t end) {
      packPanels(stretches, first + begin, end - begin, panelSize, slabPanels + begin * panelSize);
    });
    shareTasks(blocks * columnTasks, [&](int64_t task) {
      const int64_t index = task / columnTasks, share = task % columnTasks;
      const int64_t begin = groups * index / blocks, end = groups * (index + 1) / blocks, row = begin * kTileRows;
      const AmxTiles prepared;
      Target own = target;
      for (const Stretch& stretch : stretches) {
        const Block block = packBlock(stretch, row, std::min(rows, end * kTileRows) - row);
        for (int64_t panel = count * share / columnTasks; panel < count * (share + 1) / columnTasks; panel++)
          multiplyPanel(block, slabPanels + panel * panelSize + stretch.firstStep * kGroupStep, stretch.steps, own,
                        (first + panel) * kPanel);
        own.results.goOn();
      }
    });
  }
}

}  // namespace

bool hasPieceProduct(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == at::kFloat && a.size(0) > 0 && a.size(1) >= kStep && b.size(1) >= kPanel &&
         canRun(Bf16Path::amx);
}

void multiplyInPieces(at::TensorList a, at::TensorList b, const at::Tensor& sum, const float* bias, bool adds) {
  float* const y = sum.data_ptr<float>();
  int64_t steps = 0;
  for (const at::Tensor& factor : a) steps += partsOf(factor.size(1), kStep);
  // Stretches of equal length, but the last.
  const int64_t length = partsOf(steps, partsOf(steps, kStretchSteps));
  const bool isWrittenOnce = length == steps && !adds && bias == nullptr,
             hasWholeLines = sum.size(1) % kLanes == 0 && reinterpret_cast<uintptr_t>(y) % 64 == 0;
  const bool streams = isWrittenOnce && hasWholeLines && sum.numel() * 4 >= kStreamedBytes;
  Target target{{y, sum.size(1), bias, adds}, streams};
  std::vector<Stretch> stretches;
  const auto finish = [&] {
    multiplyStretches(stretches, target);
    target.results.goOn();
    stretches.clear();
  };
  for (size_t i = 0; i < a.size(); i++) {
    const at::Tensor rows = oneWay(a[i]), columns = oneWay(b[i]).t();
    for (int64_t input = 0; input < rows.size(1);) {
      if (stretches.empty()) stretches.push_back({{}, 0, 0});
      if (stretches.back().steps == length) stretches.push_back({{}, stretches.back().firstStep + length, 0});
      Stretch& stretch = stretches.back();
      const int64_t depth = std::min((length - stretch.steps) * kStep, rows.size(1) - input);
      stretch.parts.push_back({rows.narrow(1, input, depth), columns.narrow(1, input, depth), stretch.steps});
      stretch.steps += stretch.parts.back().steps();
      input += depth;
      if (stretch.steps == length && stretch.firstStep + 2 * length > kSlabSteps) finish();
    }
  }
  if (!stretches.empty()) finish();
}

}  // namespace selm
