// Products with weights: a product by rows for sampling whose result for one row does not depend on what else is in the
// batch, and the type in which training multiplies.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "../checks.h"
#include "../composite.h"
#include "vector.h"

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

constexpr int64_t kRows = 8;        // rows a block: 8 x 2 vectors of sums stay in registers
constexpr int64_t kTask = 1 << 20;  // multiplications that are worth a thread
constexpr int64_t kDepth = 512;     // inputs between which sums rest in memory: the order of additions stays the same

// y[rows x 32] (+)= x[rows x depth] * panel[depth x 32]; each sum runs over the inputs in ascending order.
template <int Rows, typename W>
void block(const float* x, int64_t strideX, const W* panel, float* y, int64_t depth, bool accumulate) {
  Float16 sums[Rows][2];
  for (int r = 0; r < Rows; r++) {
    sums[r][0] = accumulate ? load(y + r * kPanel) : splat(0);
    sums[r][1] = accumulate ? load(y + r * kPanel + kLanes) : splat(0);
  }
  for (int64_t k = 0; k < depth; k++) {
    const Float16 low = load(panel + k * kPanel), high = load(panel + k * kPanel + kLanes);
    for (int r = 0; r < Rows; r++) {
      const Float16 value = splat(x[r * strideX + k]);
      sums[r][0] += value * low;
      sums[r][1] += value * high;
    }
  }
  for (int r = 0; r < Rows; r++) {
    store(y + r * kPanel, sums[r][0]);
    store(y + r * kPanel + kLanes, sums[r][1]);
  }
}

template <typename W>
void panelProduct(const float* x, const W* panel, const float* bias, float* out, int64_t rows, int64_t inputs, int64_t outputs,
                  int64_t width) {
  float scratch[kRows * kPanel];
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t count = std::min(kRows, rows - row);
    for (int64_t depth = 0; depth < inputs; depth += kDepth) {
      const int64_t step = std::min(kDepth, inputs - depth);
      const float* from = x + row * inputs + depth;
      const W* weights = panel + depth * kPanel;
      // A block of one row does the same arithmetic for that row as a block of eight.
      if (count == kRows) {
        block<kRows>(from, inputs, weights, scratch, step, depth > 0);
      } else {
        for (int64_t r = 0; r < count; r++) block<1>(from + r * inputs, inputs, weights, scratch + r * kPanel, step, depth > 0);
      }
    }
    for (int64_t r = 0; r < count; r++) {
      for (int64_t o = 0; o < width; o++) out[(row + r) * outputs + o] = scratch[r * kPanel + o] + (bias ? bias[o] : 0.0f);
    }
  }
}

template <typename W>
void rowProduct(const float* x, const W* packed, const float* bias, float* y, int64_t rows, int64_t inputs, int64_t outputs) {
  const int64_t panels = (outputs + kPanel - 1) / kPanel;
  at::parallel_for(0, panels, std::max<int64_t>(1, kTask / std::max<int64_t>(1, rows * inputs * kPanel)), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++) {
      panelProduct(x, packed + p * inputs * kPanel, bias ? bias + p * kPanel : nullptr, y + p * kPanel, rows, inputs, outputs,
                   std::min(kPanel, outputs - p * kPanel));
    }
  });
}

at::Tensor packRows(const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2, "pack_rows: weights must be [outputs, inputs], got ", weight.sizes());
  const int64_t outputs = weight.size(0), inputs = weight.size(1), panels = (outputs + kPanel - 1) / kPanel;
  const bool kept = weight.scalar_type() == at::kBFloat16 || weight.scalar_type() == at::kDouble;
  const auto type = kept ? weight.scalar_type() : at::kFloat;
  at::Tensor padded = at::zeros({panels * kPanel, inputs}, weight.options().dtype(type));
  padded.narrow(0, 0, outputs).copy_(weight);
  return padded.view({panels, kPanel, inputs}).transpose(1, 2).contiguous();
}

at::Tensor rowLinear(const at::Tensor& x_, const at::Tensor& packed, int64_t outputs, const std::optional<at::Tensor>& bias_) {
  checkRowLinear(x_, packed, outputs);
  if (x_.scalar_type() != at::kFloat) return composite::rowLinear(x_, packed, outputs, bias_);
  const at::Tensor x = x_.contiguous();
  const at::Tensor bias = bias_.has_value() && bias_->defined() ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  at::Tensor y = at::empty({x.size(0), outputs}, x.options());
  const float* biasData = bias.defined() ? bias.data_ptr<float>() : nullptr;
  if (packed.scalar_type() == at::kBFloat16) {
    rowProduct(x.data_ptr<float>(), packed.data_ptr<c10::BFloat16>(), biasData, y.data_ptr<float>(), x.size(0), x.size(1), outputs);
  } else {
    rowProduct(x.data_ptr<float>(), packed.data_ptr<float>(), biasData, y.data_ptr<float>(), x.size(0), x.size(1), outputs);
  }
  return y;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  library.impl("product_operand", &selm::productOperand);
  library.impl("pack_rows", &selm::packRows);
  library.impl("row_linear", &selm::rowLinear);
}
