#include "digit_panels.h"

namespace selm {
namespace {

int64_t scalesOffset(int64_t width) { return kDigitRows * (width - static_cast<int64_t>(sizeof(float))); }
float* scalesOf(int8_t* memory, int64_t width) { return reinterpret_cast<float*>(memory + scalesOffset(width)); }
const float* scalesOf(const int8_t* memory, int64_t width) {
  return reinterpret_cast<const float*>(memory + scalesOffset(width));
}

}  // namespace

void digitRows(const float* x, int64_t count, int64_t inputs, int8_t* to) {
  digitsOfRows(x, inputs, count, inputs, to, scalesOf(to, digitWidth(inputs)));
}

void digitOutputs(const float* weights, int64_t count, int64_t inputs, int8_t* rows, int8_t* to) {
  float* scales = scalesOf(to, digitWidth(inputs));
  digitsOfRows(weights, inputs, count, inputs, rows, scales);
  for (int64_t i = 0; i < kDigitRows; i++) scales[i] *= kLevelUnit;
  digitPanel(rows, inputs, to);
}

void digitsPanel(const int8_t* x, int64_t width, const int8_t* panel, float* y, int64_t rows, bool isFirst) {
  alignas(64) int32_t sums[kFourLevels * kLevel];
  multiplyFourLevels(x, panel, width / (kDigits * kDigitStep), sums, rows, isFirst);
  const float *rowScales = scalesOf(x, width), *scales = scalesOf(panel, width);
  const Float16 low = load(scales), high = load(scales + kLanes);
  for (int64_t row = 0; row < rows; row++) {
    store(y + row * kDigitRows, sumOfLevels<kFourLevels>(sums, row, 0) * rowScales[row] * low);
    store(y + row * kDigitRows + kLanes, sumOfLevels<kFourLevels>(sums, row, kLanes) * rowScales[row] * high);
  }
}

}  // namespace selm
