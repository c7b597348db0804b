// Products of fp32 rows with one panel of 32 outputs by digits (digits.h), in the form of panels.h: for fp32 weights that bf16 does not hold. A
// panel is one piece of memory, and so are 32 rows; both end with the scales of their rows, whose digits depend on nothing but themselves:
//
//   | inputs 0 .. 63: digits 0, 1, 2 of 32 rows | inputs 64 .. 127 | ... | 32 scales |
//
// Sums of whole numbers are exact, so a result's bits depend on its row and its output alone.
#pragma once
#include "digits.h"

namespace selm {

// Sums of more inputs might not fit whole numbers of 32 bits: a level adds up to three products of 2^14 an input.
constexpr int64_t kMostDigitInputs = 40'000;

// Bytes of a row, or of an output: 32 of them make a piece of memory.
inline int64_t digitWidth(int64_t inputs) {
  return digitSteps(inputs) * kDigits * kDigitStep + static_cast<int64_t>(sizeof(float));
}
// At most 32 rows of x [count, inputs], one after the other, as digits.
void digitRows(const float* x, int64_t count, int64_t inputs, int8_t* to);
// At most 32 outputs of weights [count, inputs] as a panel. `rows` is room for as much memory.
void digitOutputs(const float* weights, int64_t count, int64_t inputs, int8_t* rows, int8_t* to);
// y [rows, 32] = rows times a panel, both of such a width; y has room for 32 rows. What isFirst says: panels.h. The thread holds AmxTiles.
void digitsPanel(const int8_t* x, int64_t width, const int8_t* panel, float* y, int64_t rows, bool isFirst);

}  // namespace selm
