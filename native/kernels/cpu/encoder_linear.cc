// An encoder's products with weights that are packed once: y = activation(x W^T + b), in bf16 by tiles of bf16 (panels.h), in fp32 by tiles of
// bytes (digits.h). A thread takes a block of rows, lays it out in tiles, and multiplies it with one panel of 32 outputs after the other:
//
//   rows [T, K]                  panel, K inputs by 32 outputs
//
//   +----+----+----+             +----+
//   | 32 | 32 |    |  block      | K1 |   Some inputs (K1) of the panel stay in the nearest cache while all rows of the block pass by; their sums
//   | by | by |    |             +----+   come along, and are written with bias and activation when the panel is through.
//   | K1 | K1 |    |             | K1 |
//   +----+----+----+             +----+
//
// A result's bits depend on its row, its column and K alone. Without tiles, weights are packed as they are, and multiplied by LibTorch.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "activations.h"
#include "digits.h"
#include "operands.h"
#include "panels.h"
#include "product_results.h"
#include "team.h"
#include "tile_packing.h"

namespace selm {
namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kRows = 32;  // that are multiplied at once
static_assert(kTileRows == kRows && kPanel == kRows && kDigitRows == kRows);

at::Tensor room(int64_t count, at::ScalarType type) { return at::empty({count}, at::TensorOptions().dtype(type)); }

// bf16: what a block of rows and a panel give.
struct PanelProduct {
  using Number = Bf16;
  using Sum = float;
  static constexpr int64_t kSums = kRows * kPanel;  // of 32 rows
  static constexpr int64_t kStepInputs = kStep, kNearSteps = 8;
  static constexpr int64_t kMostRows = 128;
  const Bf16 *x, *panels;
  int64_t inputs;

  int64_t steps() const { return (inputs + kStep - 1) / kStep; }

  // Rows in tiles, step by step.
  struct Block {
    at::Tensor tiles;
    int64_t stride;  // of 32 rows
    int64_t groups;  // of so many
    Block(const PanelProduct& product, int64_t first, int64_t count)
        : stride(product.steps() * kStep * kRows), groups(roomFor(count) / kRows) {
      tiles = room(groups * stride, at::kBFloat16);
      for (int64_t row = 0; row < count; row += kRows)
        tilesOfRows(
            {product.x + (first + row) * product.inputs, product.inputs, std::min(kRows, count - row), product.inputs},
            tiles.data_ptr<Bf16>() + row / kRows * stride);
    }
  };
  void multiply(const Block& block, int64_t group, int64_t panel, int64_t step, int64_t count, float* sums) const {
    const Bf16* tiles = block.tiles.data_ptr<Bf16>() + group * block.stride + step * kStep * kRows;
    const Bf16* inputs = panels + (panel * steps() + step) * kStep * kPanel;
    amxRowTiles({tiles, kStep, kStep * kRows / 2, kStep * kRows}, count * kStep, inputs, sums, step > 0,
                Ahead::shareOf(group, block.groups, inputs + count * kStep * kPanel, count * kStep));
  }
  Float16 sumsOf(const Block&, const float* sums, int64_t row, int64_t, int64_t half) const {
    return load(sums + row % kRows * kPanel + half);
  }
};

// fp32, by digits.
struct DigitProduct {
  using Number = float;
  using Sum = int32_t;
  static constexpr int64_t kSums = kDigits * kLevel;
  static constexpr int64_t kStepInputs = kDigitStep, kNearSteps = 4;
  static constexpr int64_t kMostRows = 128;
  const float* x;
  const int8_t* panels;
  const float* scales;
  int64_t inputs;

  int64_t steps() const { return digitSteps(inputs); }

  struct Block {
    at::Tensor tiles;
    int64_t stride;
    std::vector<float> scales;
    Block(const DigitProduct& product, int64_t first, int64_t count)
        : stride(product.steps() * kDigitTiles), scales(roomFor(count)) {
      tiles = room(roomFor(count) / kRows * stride, at::kChar);
      for (int64_t row = 0; row < count; row += kRows)
        digitsOfRows(product.x + (first + row) * product.inputs, product.inputs, std::min(kRows, count - row),
                     product.inputs, tiles.data_ptr<int8_t>() + row / kRows * stride, scales.data() + row);
    }
  };
  void multiply(const Block& block, int64_t group, int64_t panel, int64_t step, int64_t count, int32_t* sums) const {
    multiplyDigits(block.tiles.data_ptr<int8_t>() + group * block.stride + step * kDigitTiles,
                   panels + (panel * steps() + step) * kDigitTiles, count, sums, step > 0);
  }
  Float16 sumsOf(const Block& block, const int32_t* sums, int64_t row, int64_t column, int64_t half) const {
    return sumOfLevels(sums, row % kRows, half) * block.scales[row] * load(scales + column);
  }
};

template <typename Activation, typename Product>
void multiplyAll(const Product& product, int64_t rows, const at::Tensor& bias, at::Tensor& y) {
  using T = typename Product::Number;
  const int64_t outputs = bias.size(0), panels = panelsFor(outputs), steps = product.steps(), threads = teamSize();
  const float* biases = bias.data_ptr<float>();
  T* to = y.data_ptr<T>();
  const int64_t blocks = (rows + Product::kMostRows - 1) / Product::kMostRows;
  // Fewer blocks than threads: they share the panels, too.
  const int64_t columnTasks = blocks < threads ? std::min(threads, panels) : 1;
  shareTasks(blocks * columnTasks, [&](int64_t task) {
    const int64_t first = task / columnTasks * Product::kMostRows, count = std::min(Product::kMostRows, rows - first);
    const int64_t begin = task % columnTasks * panels / columnTasks,
                  end = (task % columnTasks + 1) * panels / columnTasks;
    const typename Product::Block block(product, first, count);
    const AmxTiles prepared;
    alignas(64) static thread_local typename Product::Sum sums[Product::kMostRows / kRows * Product::kSums];
    for (int64_t panel = begin; panel < end; panel++) {
      for (int64_t step = 0; step < steps; step += Product::kNearSteps) {
        for (int64_t group = 0; group * kRows < count; group++) {
          if (step == 0)
            fetchRows(to + (first + group * kRows) * outputs + panel * kPanel, outputs,
                      std::min(kRows, count - group * kRows));
          product.multiply(block, group, panel, step, std::min(Product::kNearSteps, steps - step),
                           sums + group * Product::kSums);
        }
      }
      for (int64_t row = 0; row < count; row++) {
        for (int64_t half = 0; half < kPanel && panel * kPanel + half < outputs; half += kLanes) {
          const int64_t column = panel * kPanel + half;
          const Float16 value = product.sumsOf(block, sums + row / kRows * Product::kSums, row, column, half) +
                                load(biases + column, outputs - column);
          store(to + (first + row) * outputs + column, Activation::of(value), outputs - column);
        }
      }
    }
  });
}

struct Plain {
  static Float16 of(Float16 x) { return x; }
};

template <typename Product>
at::Tensor activated(const Product& product, const at::Tensor& x, const at::Tensor& bias, std::string_view activation) {
  at::Tensor y = at::empty({x.size(0), bias.size(0)}, x.options());
  if (activation == "gelu") {
    multiplyAll<Gelu>(product, x.size(0), bias, y);
  } else {
    multiplyAll<Plain>(product, x.size(0), bias, y);
  }
  return y;
}

// fp32 weights [O, I] in digits, a panel a row, and the scales of their rows; of bf16 ones, what pack_rows makes of them.
std::tuple<at::Tensor, at::Tensor> packLinear(const at::Tensor& weight_) {
  checkPackLinear(weight_);
  const at::Tensor none = at::empty({0}, weight_.options().dtype(at::kFloat));
  if (weight_.scalar_type() == at::kBFloat16 && canRun(Bf16Path::amx)) {
    static const auto pack = c10::Dispatcher::singleton()
                                 .findSchemaOrThrow("selm::pack_rows", "")
                                 .typed<at::Tensor(at::TensorList, std::string_view)>();
    return {pack.call({weight_}, "fastest"), none};
  }
  if (weight_.scalar_type() != at::kFloat || !hasDigits()) return composite::packLinear(weight_);
  const at::Tensor weight = weight_.contiguous();
  const int64_t outputs = weight.size(0), inputs = weight.size(1), panels = panelsFor(outputs),
                size = digitSteps(inputs) * kDigitTiles;
  const at::Tensor packed = at::empty({panels, size}, weight.options().dtype(at::kChar));
  const at::Tensor scales = at::empty({panels * kPanel}, weight.options());
  shareRanges(panels, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor tiles = room(size, at::kChar);
    for (int64_t panel = begin; panel < end; panel++) {
      float* scale = scales.data_ptr<float>() + panel * kPanel;
      digitsOfRows(weight.data_ptr<float>() + panel * kPanel * inputs, inputs,
                   std::min(kPanel, outputs - panel * kPanel), inputs, tiles.data_ptr<int8_t>(), scale);
      for (int64_t i = 0; i < kPanel; i++) scale[i] *= kLevelUnit;
      digitPanel(tiles.data_ptr<int8_t>(), inputs, packed.data_ptr<int8_t>() + panel * size);
    }
  });
  return {packed, scales};
}

at::Tensor packedLinear(const at::Tensor& x_, const at::Tensor& packed, const at::Tensor& scales,
                        const at::Tensor& bias_, std::string_view activation) {
  checkPackedLinear(x_, bias_, activation);
  const at::Tensor x = x_.contiguous(), bias = contiguousFloats(bias_);
  const int64_t panels = panelsFor(bias.size(0)), inputs = x.size(1);
  if (packed.scalar_type() == at::kChar) {
    TORCH_CHECK(x.scalar_type() == at::kFloat && packed.size(0) == panels && scales.numel() == panels * kPanel &&
                    packed.size(1) == digitSteps(inputs) * kDigitTiles,
                "packed_linear: x of shape ", x.sizes(), " in ", x.scalar_type(), " does not fit ", packed.size(0),
                " panels of digits for ", bias.size(0), " outputs");
    return activated(DigitProduct{x.data_ptr<float>(), packed.data_ptr<int8_t>(), scales.data_ptr<float>(), inputs}, x,
                     bias, activation);
  }
  if (packed.dim() == 3) {
    checkRowLinears(x, packed, {bias.size(0)}, bias);
    TORCH_CHECK(x.scalar_type() == at::kBFloat16, "packed_linear: x in ", x.scalar_type(), " meets weights in bf16");
    return activated(PanelProduct{x.data_ptr<Bf16>(), packed.data_ptr<Bf16>(), inputs}, x, bias, activation);
  }
  return composite::packedLinear(x, packed, scales, bias, activation);
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("pack_linear", &selm::packLinear);
  library.impl("packed_linear", &selm::packedLinear);
}
