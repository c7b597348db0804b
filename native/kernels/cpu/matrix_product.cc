// Products of matrices in training: y = x W^T forwards, dx = dy W and dW = dy^T x backwards. By tiles where the processor has them,
// elsewhere by LibTorch. piece_product.cc has those of fp32; in bf16 the left factor is read in tiles of rows, the right one in panels
// (tile_packing.h):
//
//   a [M, K]                b [K, N] in panels of 32 columns
//
//   +---------+             | panel 0 | panel 1 | ...      A thread takes a block of rows, which stay in the cache, and multiplies it with
//   |  block  |             | K1      | K1      |          one panel after the other. Of a panel only kNear inputs (K1) are worked through
//   +---------+             |         |         |          at a time, with all rows of the block: they stay in the nearest cache, rows
//   |  block  |             | K2      | K2      |          and sums pass by. That is twice as fast as all inputs at once. Meanwhile those
//   +---------+                                            that follow come to the second cache.
//
// Of more inputs than kDepth only so many are packed at a time, and what they give is added up. An element's bits depend on its row, its
// column and K alone.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "panels.h"
#include "piece_product.h"
#include "product_results.h"
#include "team.h"
#include "tile_packing.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

// LibTorch's bf16 products on a processor without bf16 arithmetic take three times as long as fp32 ones. There the operands
// are widened, multiplied in fp32, and the result is rounded once: faster, and no less exact.
at::Tensor productOperand(const at::Tensor& x) {
#if defined(__x86_64__)
  static const bool hasBf16 = __builtin_cpu_supports("avx512bf16");
#else
  static const bool hasBf16 = true;
#endif
  return !hasBf16 && x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

constexpr int64_t kDepth = 4096;    // inputs that are packed at a time
constexpr int64_t kNear = 256;      // inputs of a panel that are worked through at a time, about
constexpr int64_t kMostGroups = 4;  // of 32 rows, in a block

int64_t wholeTiles(int64_t count) { return (count + kStep - 1) / kStep * kStep; }

// One factor: number i of lane l lies at data[l * lane + i * next], and one of both strides is 1.
struct Factor {
  at::Tensor tensor;
  const Bf16* data;
  int64_t lane, next, lanes;
  const Bf16* end;  // of its memory

  Factor(const at::Tensor& x, int64_t laneDimension)
      : tensor(x),
        data(x.data_ptr<Bf16>()),
        lane(x.stride(laneDimension)),
        next(x.stride(1 - laneDimension)),
        lanes(x.size(laneDimension)),
        end(reinterpret_cast<const Bf16*>(static_cast<const char*>(x.storage().data()) + x.storage().nbytes())) {}
  bool isByRows() const { return next == 1; }
  const Bf16* at(int64_t first, int64_t input) const { return data + first * lane + input * next; }
  // At most 32 lanes from `first` on.
  Lanes some(int64_t first, int64_t input, int64_t depth) const {
    return {at(first, input), isByRows() ? lane : next, std::min(kTileRows, lanes - first), depth};
  }
};

at::Tensor room(int64_t numbers) { return at::empty({numbers}, at::TensorOptions().dtype(at::kBFloat16)); }

// Rows [first, first + count) of a left factor, inputs [input, input + depth): read where they lie if those are whole tiles, or copied.
struct RowBlock {
  RowTiles tiles;
  int64_t groupStride;  // from 32 rows to the next
  at::Tensor copied;

  RowBlock(const Factor& left, int64_t first, int64_t count, int64_t input, int64_t depth) {
    const Bf16* from = left.at(first, input);
    if (left.isByRows() && depth % kStep == 0 && from + (roomFor(count) - 1) * left.lane + depth <= left.end) {
      tiles = {from, left.lane, left.lane * kTileRows / 2, kStep};
      groupStride = left.lane * kTileRows;
      return;
    }
    groupStride = wholeTiles(depth) * kTileRows;
    copied = room(roomFor(count) * wholeTiles(depth));
    Bf16* to = copied.data_ptr<Bf16>();
    tiles = {to, kStep, kStep * kTileRows / 2, kStep * kTileRows};
    if (left.isByRows()) {
      for (int64_t row = 0; row < count; row += kTileRows)
        tilesOfRows(left.some(first + row, input, depth), to + row / kTileRows * groupStride);
      return;
    }
    for (int64_t i = 0; i < depth; i += kColumnInputs) {
      for (int64_t row = 0; row < count; row += kTileRows) {
        const Lanes lanes = left.some(first + row, input + i, std::min(kColumnInputs, depth - i));
        tilesOfColumns(lanes, to + row / kTileRows * groupStride + i * kTileRows);
      }
    }
  }
  // 32 rows from an input on.
  RowTiles group(int64_t index, int64_t input) const {
    return {tiles.x + index * groupStride + input / kStep * tiles.step, tiles.row, tiles.half, tiles.step};
  }
};

// All panels of a right factor, inputs [input, input + depth): panel by panel of one that lies by rows, and otherwise some inputs of all panels
// at a time, so that they are read as they lie.
at::Tensor panelsOf(const Factor& right, int64_t input, int64_t depth) {
  const int64_t panels = panelsFor(right.lanes), size = wholeTiles(depth) * kPanel;
  const at::Tensor packed = room(panels * size);
  Bf16* const to = packed.data_ptr<Bf16>();
  if (right.isByRows()) {
    shareRanges(panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++)
        panelOfRows(right.some(panel * kPanel, input, depth), to + panel * size);
    });
    return packed;
  }
  shareRanges(wholeTiles(depth) / kColumnInputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kColumnInputs; i < end * kColumnInputs; i += kColumnInputs) {
      for (int64_t panel = 0; panel < panels; panel++)
        panelOfColumns(right.some(panel * kPanel, input + i, std::min(kColumnInputs, depth - i)),
                       to + panel * size + i * kPanel);
    }
  });
  return packed;
}

// Some inputs of two factors, the right one packed.
struct Inputs {
  Factor left;
  int64_t first, depth;
  at::Tensor panels;
};

Inputs packedInputs(const Factor& left, const Factor& right, int64_t first, int64_t depth) {
  return {left, first, depth, panelsOf(right, first, depth)};
}

// Sums of a block of rows with a panel, [rows, 32]; they go on, or begin with zero. Where they begin, what they will be written to is
// fetched by fetchResults(row, rows).
template <typename Fetch>
void multiplyPanel(const RowBlock& block, int64_t rows, const Bf16* panel, int64_t padded, bool goesOn, float* sums,
                   const Fetch& fetchResults) {
  const int64_t stretches = std::max<int64_t>(1, (padded + kNear / 2) / kNear), groups = roomFor(rows) / kTileRows;
  for (int64_t stretch = 0, k = 0; stretch < stretches; stretch++) {
    const int64_t end = padded / kStep * (stretch + 1) / stretches * kStep, inputs = end - k;
    for (int64_t group = 0; group < groups; group++) {
      const int64_t row = group * kTileRows;
      if (!goesOn && k == 0) fetchResults(row, std::min(kTileRows, rows - row));
      amxRowTiles(block.group(group, k), inputs, panel + k * kPanel, sums + row * kPanel, goesOn || k > 0,
                  Ahead::shareOf(group, groups, panel + (k + inputs) * kPanel, inputs));
    }
    k = end;
  }
}

// Where the sums of blocks go. Results in bf16 that no cache would hold until they are read go past the caches, if they are whole lines; the end
// of a task, which is a locked instruction, puts them before what other threads read.
template <typename T>
struct Target {
  static constexpr int64_t kStreamedBytes = 32 << 20;
  Results<T> results;
  bool streams;

  Target(const Results<T>& results_, int64_t rows)
      : results(results_),
        streams(std::is_same_v<T, Bf16> && !results.adds && results.bias == nullptr && results.columns % kPanel == 0 &&
                reinterpret_cast<uintptr_t>(results.y) % 64 == 0 && rows * results.columns * 2 >= kStreamedBytes) {}
  void fetch(int64_t row, int64_t rows, int64_t column) const {
    if (!streams) results.fetch(row, rows, column);
  }
  void write(int64_t row, int64_t rows, int64_t column, const float* sums) const {
    if constexpr (std::is_same_v<T, Bf16>) {
      if (streams) return streamRounded(sums, rows, results.y + row * results.columns + column, results.columns);
    }
    results.write(row, rows, column, sums);
  }
};

// What all parts give, added up in their order before it is written; `columns` is the right factors' number of them.
template <typename T>
void multiplyParts(const std::vector<Inputs>& parts, int64_t columns, const Results<T>& results) {
  const int64_t rows = parts[0].left.lanes, panels = panelsFor(columns), threads = teamSize();
  const int64_t groups = (rows + kTileRows - 1) / kTileRows;
  // As many blocks of about as many rows for every thread. Fewer rows than that: threads share the panels, too.
  const int64_t rounds = (groups + kMostGroups * threads - 1) / (kMostGroups * threads);
  const int64_t blocks = std::min(groups, rounds * threads);
  const int64_t columnTasks = blocks < threads ? std::min(threads, panels) : 1;
  const Target<T> target(results, rows);
  shareTasks(blocks * columnTasks, [&](int64_t task) {
    const int64_t block = task / columnTasks, first = groups * block / blocks * kTileRows;
    const int64_t count = std::min(groups * (block + 1) / blocks * kTileRows, rows) - first;
    const int64_t begin = task % columnTasks * panels / columnTasks,
                  end = (task % columnTasks + 1) * panels / columnTasks;
    std::vector<RowBlock> rowBlocks;
    for (const Inputs& part : parts) rowBlocks.emplace_back(part.left, first, count, part.first, part.depth);
    const AmxTiles prepared;
    alignas(64) float sums[kMostGroups * kTileRows * kPanel];
    for (int64_t panel = begin; panel < end; panel++) {
      const auto fetchResults = [&](int64_t row, int64_t some) { target.fetch(first + row, some, panel * kPanel); };
      for (size_t part = 0; part < parts.size(); part++) {
        const int64_t padded = wholeTiles(parts[part].depth);
        const Bf16* numbers = parts[part].panels.data_ptr<Bf16>() + panel * padded * kPanel;
        multiplyPanel(rowBlocks[part], count, numbers, padded, part > 0, sums, fetchResults);
      }
      target.write(first, count, panel * kPanel, sums);
    }
  });
}

// The sum of all products a[i] b[i]. Of more than kDepth inputs only so many are packed at a time, and what they give is added up in y.
template <typename T>
void multiply(at::TensorList a_, at::TensorList b_, Results<T> results) {
  std::vector<Inputs> parts;
  int64_t room = kDepth;
  const int64_t columns = b_[0].size(1);
  const auto finish = [&] {
    if (parts.empty()) return;
    multiplyParts(parts, columns, results);
    results.goOn();
    parts.clear();
    room = kDepth;
  };
  for (size_t i = 0; i < a_.size(); i++) {
    const at::Tensor a = oneWay(a_[i]), b = oneWay(b_[i]);
    for (int64_t input = 0; input < a.size(1);) {
      const int64_t depth = std::min(room, a.size(1) - input);
      parts.push_back(packedInputs(Factor(a, 0), Factor(b, 1), input, depth));
      input += depth;
      room -= wholeTiles(depth);
      if (room == 0) finish();
    }
  }
  finish();
}

bool hasKernel(const at::Tensor& a, const at::Tensor& b) {
  return canRun(Bf16Path::amx) && a.scalar_type() == at::kBFloat16 && a.numel() > 0 && b.numel() > 0;
}

// A result is rounded to bf16 once, whatever the number of inputs.
at::Tensor productOf(at::TensorList a, at::TensorList b, int64_t inputs, const float* bias) {
  const int64_t rows = a[0].size(0), columns = b[0].size(1);
  at::Tensor y = at::empty({rows, columns}, a[0].options());
  if (inputs <= kDepth) {
    multiply(a, b, Results<Bf16>{y.data_ptr<Bf16>(), columns, bias, false});
    return y;
  }
  const at::Tensor sums = at::empty({rows, columns}, a[0].options().dtype(at::kFloat));
  multiply(a, b, Results<float>{sums.data_ptr<float>(), columns, bias, false});
  return y.copy_(sums);
}

at::Tensor floatProductOf(at::TensorList a, at::TensorList b, const float* bias) {
  at::Tensor y = at::empty({a[0].size(0), b[0].size(1)}, a[0].options());
  multiplyInPieces(a, b, y, bias, false);
  return y;
}

at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias_) {
  checkProduct(a, b, bias_);
  const bool hasBias = bias_.has_value() && bias_->defined();
  const at::Tensor bias = hasBias ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  const float* biases = hasBias ? bias.data_ptr<float>() : nullptr;
  if (hasPieceProduct(a, b)) return floatProductOf(a, b, biases);
  if (!hasKernel(a, b)) {
    const at::Tensor left = productOperand(a);
    return at::linear(left, productOperand(b).t(), hasBias ? bias_->to(left.scalar_type()) : at::Tensor())
        .to(a.scalar_type());
  }
  return productOf(a, b, a.size(1), biases);
}

at::Tensor& addProduct_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  checkSum(sum, a, b);
  if (hasPieceProduct(a, b) && sum.is_contiguous()) {
    multiplyInPieces(a, b, sum, nullptr, true);
    return sum;
  }
  if (!hasKernel(a, b) || !sum.is_contiguous())
    return composite::addProduct_(sum, productOperand(a), productOperand(b));
  if (sum.scalar_type() == at::kFloat) {
    multiply(a, b, Results<float>{sum.data_ptr<float>(), sum.size(1), nullptr, true});
  } else {
    multiply(a, b, Results<Bf16>{sum.data_ptr<Bf16>(), sum.size(1), nullptr, true});
  }
  return sum;
}

// The right factor is packed once for all.
void addProducts_(at::TensorList sums, at::TensorList a_, const at::Tensor& b_) {
  checkSums(sums, a_);
  const auto takesKernel = [&](size_t i) {
    checkSum(sums[i], a_[i], b_);
    return hasKernel(a_[i], b_) && sums[i].is_contiguous() && sums[i].scalar_type() == at::kFloat;
  };
  bool takesAll = true;
  for (size_t i = 0; i < a_.size(); i++) takesAll = takesKernel(i) && takesAll;
  if (!takesAll) {
    for (size_t i = 0; i < a_.size(); i++) {
      at::Tensor sum = sums[i];
      addProduct_(sum, a_[i], b_);
    }
    return;
  }
  const at::Tensor b = oneWay(b_);
  const Factor right(b, 1);
  for (int64_t input = 0; input < b.size(0); input += kDepth) {
    const int64_t depth = std::min(kDepth, b.size(0) - input);
    const at::Tensor panels = panelsOf(right, input, depth);
    for (size_t i = 0; i < a_.size(); i++) {
      const at::Tensor a = oneWay(a_[i]);
      multiplyParts({Inputs{Factor(a, 0), input, depth, panels}}, b.size(1),
                    Results<float>{sums[i].data_ptr<float>(), b.size(1), nullptr, true});
    }
  }
}

at::Tensor sumOfProducts(at::TensorList a, at::TensorList b) {
  checkProducts(a, b);
  bool takesAll = true, takesPieces = true;
  int64_t inputs = 0;
  for (size_t i = 0; i < a.size(); i++) {
    takesAll = takesAll && hasKernel(a[i], b[i]);
    takesPieces = takesPieces && hasPieceProduct(a[i], b[i]);
    inputs += wholeTiles(a[i].size(1));
  }
  if (takesPieces) return floatProductOf(a, b, nullptr);
  if (takesAll) return productOf(a, b, inputs, nullptr);
  at::Tensor sum = matrixProduct(a[0], b[0], std::nullopt);
  for (size_t i = 1; i < a.size(); i++) sum.add_(matrixProduct(a[i], b[i], std::nullopt));
  return sum;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("matrix_product", &selm::matrixProduct);
  library.impl("add_product_", &selm::addProduct_);
  library.impl("add_products_", &selm::addProducts_);
  library.impl("sum_of_products", &selm::sumOfProducts);
}
