// Products with weights: mixed precision for training, and a product by rows for sampling whose result for one row does
// not depend on what else is in the batch.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "vector.h"

namespace selm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// LibTorch's bf16 products on a processor without bf16 arithmetic take three times as long as fp32 ones. There the operands
// are widened, multiplied in fp32, and the result is rounded once: faster, and no less exact.
bool widens(const at::Tensor& x) {
#if defined(__x86_64__)
  static const bool hasBf16 = __builtin_cpu_supports("avx512bf16");
#else
  static const bool hasBf16 = true;
#endif
  return !hasBf16 && x.device().is_cpu() && x.scalar_type() == at::kBFloat16;
}
at::Tensor operand(const at::Tensor& x) { return widens(x) ? x.to(at::kFloat) : x; }

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& master, const at::Tensor& compute,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, compute});
    context->saved_data["type"] = static_cast<int64_t>(master.scalar_type());
    context->saved_data["weight"] = master.requires_grad();
    context->saved_data["bias"] = bias.has_value() && bias->defined() && bias->requires_grad();
    const at::Tensor wide = operand(x);
    return at::linear(wide, operand(compute), bias.has_value() && bias->defined() ? bias->to(wide.scalar_type()) : at::Tensor())
        .to(x.scalar_type());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &compute = saved[1];
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const at::Tensor dy = operand(gradients[0].contiguous());
    at::Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = dy.matmul(operand(compute)).to(x.scalar_type());
    const at::Tensor rows = dy.reshape({-1, dy.size(-1)});
    if (context->saved_data["weight"].toBool()) dw = rows.t().mm(operand(x).reshape({-1, x.size(-1)})).to(type);
    if (context->saved_data["bias"].toBool()) db = rows.sum(0, false, at::kFloat).to(type);
    return {dx, dw, at::Tensor(), db};
  }
};

constexpr int64_t kPanel = 32;      // outputs a panel: two vectors
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

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& master, const at::Tensor& compute, const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(master.dim() == 2 && x.size(-1) == master.size(1) && master.sizes() == compute.sizes(), "mixed_linear: x of shape ", x.sizes(),
              " does not fit weights of shape ", master.sizes(), " (computed with ", compute.sizes(), ")");
  TORCH_CHECK(x.scalar_type() == compute.scalar_type(), "mixed_linear: x is ", x.scalar_type(), " but the weights compute in ",
              compute.scalar_type());
  return Linear::apply(x, master, compute, bias);
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

namespace {

// The same product of LibTorch's operators, for other devices and types.
at::Tensor composedRowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs, const std::optional<at::Tensor>& bias) {
  const at::Tensor weight = packed.transpose(1, 2).reshape({-1, packed.size(1)}).narrow(0, 0, outputs).to(x.scalar_type());
  return at::linear(x, weight, bias.has_value() && bias->defined() ? bias->to(x.scalar_type()) : at::Tensor());
}

}  // namespace

at::Tensor rowLinear(const at::Tensor& x_, const at::Tensor& packed, int64_t outputs, const std::optional<at::Tensor>& bias_) {
  TORCH_CHECK(x_.dim() == 2 && packed.dim() == 3 && packed.size(1) == x_.size(1) && packed.size(2) == kPanel &&
                  packed.size(0) == (outputs + kPanel - 1) / kPanel && packed.is_contiguous(),
              "row_linear: x of shape ", x_.sizes(), " does not fit packed weights of shape ", packed.sizes(), " for ", outputs, " outputs");
  if (!x_.device().is_cpu() || x_.scalar_type() != at::kFloat) return composedRowLinear(x_, packed, outputs, bias_);
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

}  // namespace selm
