// Products of matrices in training: y = x W^T forwards, dx = dy W and dW = dy^T x backwards. By tiles where the processor has them,
// elsewhere by LibTorch. The left factor is read in tiles of rows, the right one in panels (tile_packing.h):
//
//   a [M, K]                b [K, N] in panels of 32 columns
//
//   +---------+             | panel 0 | panel 1 | ...      A thread takes a block of rows, which stay in the cache, and multiplies it with
//   |  block  |             | K1      | K1      |          one panel after the other. Of a panel only kNear inputs (K1) are worked through
//   +---------+             |         |         |          at a time, with all rows of the block: they stay in the nearest cache, rows
//   |  block  |             | K2      | K2      |          and sums pass by. That is twice as fast as all inputs at once.
//   +---------+
//
// Of more inputs than kDepth only so many are packed at a time, and what they give is added up. An element's bits depend on its row, its
// column and K alone.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "panels.h"
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

constexpr int64_t kDepth = 2048;     // inputs that are packed at a time
constexpr int64_t kNear = 256;       // inputs of a panel that are worked through at a time
constexpr int64_t kMostRows = 128;  // of a block
constexpr int64_t kPanelsBeside = 8;  // that are packed together

int64_t wholeTiles(int64_t count) { return (count + kStep - 1) / kStep * kStep; }

// One factor: number i of lane l lies at data[l * lane + i * next], and one of both strides is 1.
struct Factor {
  const Bf16* data;
  int64_t lane, next, lanes;
  const Bf16* end;  // of its memory

  Factor(const at::Tensor& x, int64_t laneDimension)
      : data(x.data_ptr<Bf16>()), lane(x.stride(laneDimension)), next(x.stride(1 - laneDimension)), lanes(x.size(laneDimension)),
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
      for (int64_t row = 0; row < count; row += kTileRows) tilesOfRows(left.some(first + row, input, depth), to + row / kTileRows * groupStride);
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

// All panels of a right factor, inputs [input, input + depth).
at::Tensor panelsOf(const Factor& right, int64_t input, int64_t depth) {
  const int64_t panels = panelsFor(right.lanes), size = wholeTiles(depth) * kPanel;
  const at::Tensor packed = room(panels * size);
  Bf16* const to = packed.data_ptr<Bf16>();
  shareRanges(panels, kPanelsBeside, [&](int64_t begin, int64_t end) {
    if (right.isByRows()) {
      for (int64_t panel = begin; panel < end; panel++) panelOfRows(right.some(panel * kPanel, input, depth), to + panel * size);
      return;
    }
    for (; begin < end; begin += kPanelsBeside) {
      for (int64_t i = 0; i < depth; i += kColumnInputs) {
        for (int64_t panel = begin; panel < std::min(begin + kPanelsBeside, end); panel++) {
          const Lanes lanes = right.some(panel * kPanel, input + i, std::min(kColumnInputs, depth - i));
          panelOfColumns(lanes, to + panel * size + i * kPanel);
        }
      }
    }
  });
  return packed;
}

// y [M, N] = sums, or sums are added to it; with a bias [N] or none.
template <typename T>
struct Results {
  T* y;
  int64_t columns;
  const float* bias;
  bool adds;

  // Its lines are on their way to the cache while what goes there is computed.
  void fetch(int64_t row, int64_t rows, int64_t column) const {
    for (int64_t r = row; r < row + rows; r++) {
      for (int64_t i = 0; i < kPanel; i += kLanes) __builtin_prefetch(y + r * columns + column + i, 1);
    }
  }
  void write(int64_t row, int64_t rows, int64_t column, const float* sums) const {
    const int64_t width = std::min(kPanel, columns - column);
    for (int64_t r = 0; r < rows; r++) {
      T* to = y + (row + r) * columns + column;
      for (int64_t i = 0; i < width; i += kLanes) {
        Float16 value = load(sums + r * kPanel + i);
        if (bias != nullptr) value += load(bias + column + i, width - i);
        store(to + i, adds ? load(to + i, width - i) + value : value, width - i);
      }
    }
  }
};

// Inputs [input, input + depth) of all products.
template <typename T>
void multiplyPart(const Factor& left, const Factor& right, int64_t input, int64_t depth, const Results<T>& results) {
  const int64_t padded = wholeTiles(depth), panels = panelsFor(right.lanes), threads = teamSize();
  const at::Tensor packed = panelsOf(right, input, depth);
  const int64_t blocks = (left.lanes + kMostRows - 1) / kMostRows;
  // Fewer blocks than threads: they share the panels, too.
  const int64_t columnTasks = blocks < threads ? std::min(threads, panels) : 1;
  shareTasks(blocks * columnTasks, [&](int64_t task) {
    const int64_t first = task / columnTasks * kMostRows, count = std::min(kMostRows, left.lanes - first);
    const int64_t begin = task % columnTasks * panels / columnTasks, end = (task % columnTasks + 1) * panels / columnTasks;
    const RowBlock block(left, first, count, input, depth);
    const AmxTiles prepared;
    alignas(64) float sums[kMostRows * kPanel];
    for (int64_t panel = begin; panel < end; panel++) {
      const Bf16* columns = packed.data_ptr<Bf16>() + panel * padded * kPanel;
      for (int64_t k = 0; k < padded; k += kNear) {
        for (int64_t row = 0; row < count; row += kTileRows) {
          if (k == 0) results.fetch(first + row, std::min(kTileRows, count - row), panel * kPanel);
          amxRowTiles(block.group(row / kTileRows, k), std::min(kNear, padded - k), columns + k * kPanel, sums + row * kPanel, k > 0, row == 0);
        }
      }
      results.write(first, count, panel * kPanel, sums);
    }
  });
}

// One stride of a factor is 1, or it is copied.
at::Tensor oneWay(const at::Tensor& x) { return x.stride(0) == 1 || x.stride(1) == 1 ? x : x.contiguous(); }

template <typename T>
void multiply(const at::Tensor& a_, const at::Tensor& b_, const Results<T>& results) {
  const at::Tensor a = oneWay(a_), b = oneWay(b_);
  const Factor left(a, 0), right(b, 1);
  for (int64_t input = 0; input < a.size(1); input += kDepth) {
    Results<T> part = results;
    part.adds = results.adds || input > 0;
    if (input > 0) part.bias = nullptr;
    multiplyPart(left, right, input, std::min(kDepth, a.size(1) - input), part);
  }
}

bool hasKernel(const at::Tensor& a, const at::Tensor& b) {
  return canRun(Bf16Path::amx) && a.scalar_type() == at::kBFloat16 && a.numel() > 0 && b.numel() > 0;
}

at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias_) {
  checkProduct(a, b, bias_);
  const bool hasBias = bias_.has_value() && bias_->defined();
  if (!hasKernel(a, b)) {
    const at::Tensor left = productOperand(a);
    return at::linear(left, productOperand(b).t(), hasBias ? bias_->to(left.scalar_type()) : at::Tensor()).to(a.scalar_type());
  }
  const at::Tensor bias = hasBias ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  const float* biases = hasBias ? bias.data_ptr<float>() : nullptr;
  const int64_t rows = a.size(0), columns = b.size(1);
  at::Tensor y = at::empty({rows, columns}, a.options());
  if (a.size(1) <= kDepth) {
    multiply(a, b, Results<Bf16>{y.data_ptr<Bf16>(), columns, biases, false});
    return y;
  }
  const at::Tensor sums = at::empty({rows, columns}, a.options().dtype(at::kFloat));
  multiply(a, b, Results<float>{sums.data_ptr<float>(), columns, biases, false});
  return y.copy_(sums);
}

at::Tensor& addProduct_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  checkSum(sum, a, b);
  if (!hasKernel(a, b) || !sum.is_contiguous()) return composite::addProduct_(sum, productOperand(a), productOperand(b));
  if (sum.scalar_type() == at::kFloat) {
    multiply(a, b, Results<float>{sum.data_ptr<float>(), sum.size(1), nullptr, true});
  } else {
    multiply(a, b, Results<Bf16>{sum.data_ptr<Bf16>(), sum.size(1), nullptr, true});
  }
  return sum;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("matrix_product", &selm::matrixProduct);
  library.impl("add_product_", &selm::addProduct_);
}
