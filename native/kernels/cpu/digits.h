// Products of fp32 numbers by whole ones: the tiles of AMX multiply bytes twice as fast as bf16, and their sums are exact. Each row of a factor
// is scaled to whole numbers of 23 bits and a sign, which three digits of base 256 hold (-128 to 127 each):
//
//   x = scale (65536 x0 + 256 x1 + x2)
//
//   x y = scales 65536 (65536 x0 y0  +  256 (x0 y1 + x1 y0)  +  (x0 y2 + x1 y1 + x2 y0)  +  what is smaller and left out)
//                       level 0          level 1                 level 2
//
// Six products of bytes take a third of the time of one in fp32. What a number loses is at most 2^-23 of the largest of its row, as much as
// sums in fp32 lose on the way; and a sum's bits do not depend on the order of its terms. Where few numbers of a row are large, what is left
// out weighs most: a fourth level (x1 y2 + x2 y1), for a third more time, makes the error that of fp32 there too. (The scheme of Ozaki et al.,
// 2012, on units for whole numbers: Ootomo et al., 2024, https://arxiv.org/abs/2306.11975.)
#pragma once
#include <cstdint>
#include <cstring>

#include "vector.h"

namespace selm {

constexpr int64_t kDigits = 3;      // and as many levels
constexpr int64_t kDigitStep = 64;  // inputs of a tile of bytes
constexpr int64_t kDigitRows = 32;  // rows, and outputs, that are multiplied at once: two tiles
constexpr int64_t kDigitTiles = kDigits * kDigitRows * kDigitStep;  // bytes of a step of 32 rows, all digits
constexpr int64_t kFourLevels = 4;
constexpr int64_t kLevel = kDigitRows * kDigitRows;  // sums of a level

inline int64_t digitSteps(int64_t inputs) { return (inputs + kDigitStep - 1) / kDigitStep; }

// Whether this processor multiplies bytes by tiles.
bool hasDigits();

// Takes `count` rows apart, at most 32, `stride` numbers from one to the next; missing rows and inputs are zeros. Tiles lie step by step, each
// step digit by digit: 32 rows of 64 inputs. A row with a number that is not finite has the scale NaN.
void digitsOfRows(const float* rows, int64_t stride, int64_t count, int64_t inputs, int8_t* tiles, float* scales);
// Turns such tiles of 32 outputs into a panel: four inputs of each output beside each other.
void digitPanel(const int8_t* tiles, int64_t inputs, int8_t* panel);
// sums [level][half of the rows][half of the outputs][16][16] of 32 rows and a panel, over so many steps; goes on from what they are, or begins
// with zero. The thread holds AmxTiles (panels.h) meanwhile.
void multiplyDigits(const int8_t* tiles, const int8_t* panel, int64_t steps, int32_t* sums, bool goesOn);
// The same from zero, of four levels and so many rows; of 16 or fewer only the first half is computed. Whoever is
// the first to read a panel says so: what follows it in memory is then fetched.
void multiplyFourLevels(const int8_t* tiles, const int8_t* panel, int64_t steps, int32_t* sums, int64_t rows,
                        bool isFirst);

// A little less than the largest number of three digits, 127 (65536 + 256 + 1), which rounding must not pass.
constexpr float kLargestWhole = 8355000.0f;
// Sixteen inputs of a row, which scaling has brought below kLargestWhole: their digits, each in its own tile. `to` is their place in the first.
inline void putDigits(Float16 scaled, int8_t* to) {
  typedef int8_t Bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
  Int16 whole = __builtin_convertvector(scaled + (scaled < 0.0f ? splat(-0.5f) : splat(0.5f)), Int16);
  // The lowest digit is taken off; what is left counts the next one's unit.
  for (int64_t digit = kDigits - 1; digit >= 0; digit--) {
    const Int16 lowest = (whole << 24) >> 24;
    whole = (whole - lowest) >> 8;
    *reinterpret_cast<Bytes16*>(to + digit * kDigitRows * kDigitStep) = __builtin_convertvector(lowest, Bytes16);
  }
}
// Where the digits of an input of a row of 32 begin.
inline int64_t digitPlace(int64_t row, int64_t input) {
  return input / kDigitStep * kDigitTiles + row * kDigitStep + input % kDigitStep;
}

// What the levels of a row add up to, for 16 outputs: in units of kLevelUnit times both scales.
constexpr float kLevelUnit = 65536.0f;
template <int64_t kLevels = kDigits>
inline Float16 sumOfLevels(const int32_t* sums, int64_t row, int64_t output) {
  constexpr int64_t kSquare = kLevel / 4;
  const int32_t* at = sums + (row / kLanes * 2 + output / kLanes) * kSquare + row % kLanes * kLanes;
  Float16 total = splat(0);
  for (int64_t level = 0; level < kLevels; level++) {
    Int16 whole;
    std::memcpy(&whole, at + level * kLevel, sizeof whole);
    constexpr float kUnits[] = {65536.0f, 256.0f, 1.0f, 1.0f / 256.0f};
    total += __builtin_convertvector(whole, Float16) * kUnits[level];
  }
  return total;
}

}  // namespace selm
