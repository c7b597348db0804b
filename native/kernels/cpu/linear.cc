// Products by rows with packed weights, for sampling: a row's result does not depend on what else is in the batch
// (panels.h). And the type in which training multiplies.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <array>
#include <utility>
#include <vector>

#include "../checks.h"
#include "../composite.h"
#include "panels.h"

namespace selm {
namespace {

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

constexpr int64_t kRows = 8;        // rows a block in fp32: 8 x 2 vectors of sums stay in registers
constexpr int64_t kTask = 1 << 18;  // multiplications that are worth a thread
constexpr int64_t kNear = 1 << 19;  // bytes of x that are worked through before the next panel: they stay in the cache

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
      const Float16 first = splat(static_cast<float>(x[r * inputs + k])), second = splat(static_cast<float>(x[r * inputs + k + 1]));
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
  static constexpr std::array<void (*)(const X*, int64_t, const W*, float*), sizeof...(Counts)> kernels{&rowsByPanel<Counts + 1, X, W>...};
  kernels[rows - 1](x, inputs, panel, y);
}

template <typename X, typename W>
void fp32Panel(const X* x, int64_t inputs, const W* panel, float* y, int64_t rows) {
  for (int64_t row = 0; row < rows; row += kRows) {
    someRows(x + row * inputs, inputs, panel, y + row * kPanel, std::min(kRows, rows - row), std::make_index_sequence<kRows>());
  }
}

// x [rows, inputs] as a path reads it: in type X, with `padded` inputs of which the last are zeros, and room for whole tiles.
template <typename X>
at::Tensor operandRows(const at::Tensor& x, int64_t padded) {
  constexpr auto type = c10::CppTypeToScalarType<X>::value;
  const int64_t rows = x.size(0), inputs = x.size(1);
  if (x.scalar_type() == type && padded == inputs && type == at::kFloat) return x;
  const int64_t room = (rows + kTileRows - 1) / kTileRows * kTileRows;
  at::Tensor out = at::empty({room, padded}, x.options().dtype(type));
  const float* from = x.data_ptr<float>();
  X* to = out.data_ptr<X>();
  at::parallel_for(0, rows, std::max<int64_t>(1, 65536 / padded), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      for (int64_t i = 0; i < inputs; i += kLanes) store(to + row * padded + i, load(from + row * inputs + i, inputs - i), inputs - i);
      std::fill(to + row * padded + inputs, to + (row + 1) * padded, X(0.0f));
    }
  });
  return out;
}

// Calls panel(x, inputs, weights, scratch, rows) for every panel and every block of rows, on all threads. `prepare` is made
// once a thread and held meanwhile.
template <typename Prepare, typename X, typename W, typename Panel>
at::Tensor byPanels(const at::Tensor& x_, const at::Tensor& packed, int64_t outputs, const at::Tensor& bias, Panel panel) {
  const int64_t rows = x_.size(0), inputs = packed.size(1), panels = packed.size(0);
  const at::Tensor x = operandRows<X>(x_, inputs);
  at::Tensor y = at::empty({rows, outputs}, x_.options());
  const X* from = x.data_ptr<X>();
  const W* weights = packed.data_ptr<W>();
  const float* biases = bias.defined() ? bias.data_ptr<float>() : nullptr;
  float* to = y.data_ptr<float>();
  const int64_t near = std::max<int64_t>(1, kNear / (inputs * static_cast<int64_t>(sizeof(X)) * kTileRows)) * kTileRows;
  const int64_t grain = std::max<int64_t>(1, kTask / std::max<int64_t>(1, rows * inputs * kPanel));
  at::parallel_for(0, panels, grain, [&](int64_t begin, int64_t end) {
    [[maybe_unused]] const Prepare prepared;
    alignas(64) float scratch[kTileRows * kPanel];
    for (int64_t first = 0; first < rows; first += near) {
      for (int64_t p = begin; p < end; p++) {
        const int64_t width = std::min(kPanel, outputs - p * kPanel);
        for (int64_t row = first; row < std::min(rows, first + near); row += kTileRows) {
          const int64_t count = std::min(kTileRows, rows - row);
          panel(from + row * inputs, inputs, weights + p * inputs * kPanel, scratch, count);
          for (int64_t r = 0; r < count; r++) {
            float* out = to + (row + r) * outputs + p * kPanel;
            for (int64_t o = 0; o < width; o++) out[o] = scratch[r * kPanel + o] + (biases ? biases[p * kPanel + o] : 0.0f);
          }
        }
      }
    }
  });
  return y;
}

struct Nothing {};

at::Tensor packRows(const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2, "pack_rows: weights must be [outputs, inputs], got ", weight.sizes());
  if (weight.scalar_type() == at::kDouble) return composite::packRows(weight);
  const bool isPaired = weight.scalar_type() == at::kBFloat16;
  const int64_t outputs = weight.size(0), inputs = weight.size(1), panels = (outputs + kPanel - 1) / kPanel;
  const int64_t room = (inputs + kStep - 1) / kStep * kStep, together = isPaired ? 2 : 1;
  at::Tensor padded = at::zeros({panels * kPanel, room}, weight.options().dtype(isPaired ? at::kBFloat16 : at::kFloat));
  padded.narrow(0, 0, outputs).narrow(1, 0, inputs).copy_(weight);
  return padded.view({panels, kPanel, room / together, together}).transpose(1, 2).contiguous().view({panels, room, kPanel});
}

at::Tensor rowLinear(const at::Tensor& x_, const at::Tensor& packed, int64_t outputs, const std::optional<at::Tensor>& bias_,
                     std::string_view arithmetic) {
  if (x_.scalar_type() == at::kDouble) return composite::rowLinear(x_, packed, outputs, bias_, arithmetic);
  checkRowLinear(x_, packed, outputs);
  TORCH_CHECK(x_.scalar_type() == at::kFloat, "row_linear: x must be fp32, got ", x_.scalar_type());
  const at::Tensor x = x_.contiguous();
  const at::Tensor bias = bias_.has_value() && bias_->defined() ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  if (arithmetic == "float32") {
    if (packed.scalar_type() == at::kFloat)
      return byPanels<Nothing, float, float>(x, packed, outputs, bias, fp32Panel<float, float>);
    return byPanels<Nothing, float, c10::BFloat16>(x, packed, outputs, bias, fp32Panel<float, c10::BFloat16>);
  }
  TORCH_CHECK(packed.scalar_type() == at::kBFloat16, "row_linear: products in bf16 need weights packed in bf16, got ", packed.scalar_type());
  switch (bf16PathOf(arithmetic)) {
    case Bf16Path::amx:
      return byPanels<AmxTiles, c10::BFloat16, c10::BFloat16>(x, packed, outputs, bias, amxPanel);
    case Bf16Path::avx512Bf16:
      return byPanels<Nothing, c10::BFloat16, c10::BFloat16>(x, packed, outputs, bias, avx512Bf16Panel);
    case Bf16Path::vector:
      return byPanels<Nothing, c10::BFloat16, c10::BFloat16>(x, packed, outputs, bias, fp32Panel<c10::BFloat16, c10::BFloat16>);
  }
  TORCH_CHECK(false, "row_linear: no such path");
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  library.impl("product_operand", &selm::productOperand);
  library.impl("pack_rows", &selm::packRows);
  library.impl("row_linear", &selm::rowLinear);
}
