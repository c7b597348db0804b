// Lays weights out in panels for products by rows (linear.cc): as numbers of bf16 or fp32 (panels.h), or, of fp32 and where the processor
// multiplies bytes by tiles, as digits (digit_panels.h).
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cstring>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "digit_panels.h"
#include "panels.h"
#include "team.h"

namespace selm {
namespace {

bool hasTiles(const at::Tensor&) { return canRun(Bf16Path::amx); }

// Panels [begin, end) of weights [outputs, inputs], as panels.h draws them.
template <typename T>
void packPanels(const T* weights, int64_t outputs, int64_t inputs, int64_t room, int64_t begin, int64_t end, T* to) {
  constexpr int64_t together = std::is_same_v<T, c10::BFloat16> ? 2 : 1;
  to += begin * room * kPanel;
  for (int64_t first = begin * kPanel; first < end * kPanel; first += kPanel) {
    const int64_t rows = std::min(kPanel, outputs - first);
    for (int64_t i = 0; i < room; i += together, to += kPanel * together) {
      const T* from = weights + first * inputs + i;
      const int64_t count = std::clamp<int64_t>(inputs - i, 0, together);
      if (rows < kPanel || count < together) std::fill_n(to, kPanel * together, T(0.0f));
      if (count == together) {
        for (int64_t row = 0; row < rows; row++)
          std::memcpy(to + row * together, from + row * inputs, together * sizeof(T));
      } else {
        for (int64_t row = 0; row < rows; row++) std::copy_n(from + row * inputs, count, to + row * together);
      }
    }
  }
}

// The same in digits; `width` is a row's (digit_panels.h).
void packPanels(const float* weights, int64_t outputs, int64_t inputs, int64_t width, int64_t begin, int64_t end,
                int8_t* to) {
  const int64_t size = width * kPanel;
  const at::Tensor scratch = at::empty({size}, at::TensorOptions().dtype(at::kChar));
  for (int64_t panel = begin; panel < end; panel++)
    digitOutputs(weights + panel * kPanel * inputs, std::min(kPanel, outputs - panel * kPanel), inputs,
                 scratch.data_ptr<int8_t>(), to + panel * size);
}

// Weights in numbers W as panels of T, those of all matrices one after the other.
template <typename W, typename T>
at::Tensor packAll(at::TensorList weights, int64_t room) {
  int64_t panels = 0;
  for (const at::Tensor& weight : weights) panels += panelsFor(weight.size(0));
  const at::Tensor packed =
      at::empty({panels, room, kPanel}, weights[0].options().dtype(c10::CppTypeToScalarType<T>::value));
  T* to = packed.data_ptr<T>();
  for (const at::Tensor& weight : weights) {
    const at::Tensor plain = weight.to(c10::CppTypeToScalarType<W>::value).contiguous();
    const W* from = plain.data_ptr<W>();
    const int64_t outputs = plain.size(0), inputs = plain.size(1), count = panelsFor(outputs);
    shareRanges(count, 1, [&](int64_t begin, int64_t end) { packPanels(from, outputs, inputs, room, begin, end, to); });
    to += count * room * kPanel;
  }
  return packed;
}

at::Tensor packRows(at::TensorList weights, std::string_view layout) {
  checkPackRows(weights);
  TORCH_CHECK(layout == "fastest" || layout == "numbers", "pack_rows: layout ", layout,
              " is neither fastest nor numbers");
  const at::ScalarType type = weights[0].scalar_type();
  if (type == at::kDouble) return composite::packRows(weights);
  const int64_t inputs = weights[0].size(1), padded = (inputs + kStep - 1) / kStep * kStep;
  if (type == at::kBFloat16) return packAll<c10::BFloat16, c10::BFloat16>(weights, padded);
  if (layout == "fastest" && hasDigits() && inputs <= kMostDigitInputs)
    return packAll<float, int8_t>(weights, digitWidth(inputs));
  return packAll<float, float>(weights, padded);
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("pack_rows", &selm::packRows);
  library.impl("has_tiles", &selm::hasTiles);
}
