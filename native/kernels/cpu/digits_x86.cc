// Compiled for AMX whatever machine compiles, and called only where hasDigits() found it.
#include "digits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "paths.h"
#include "tile_packing.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace selm {

#if defined(__x86_64__)
bool hasDigits() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kInt8 = 1u << 25;
    return canRun(Bf16Path::amx) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kInt8) != 0;
  }();
  return has;
}
#else
bool hasDigits() { return false; }
#endif

namespace {

constexpr int64_t kTile = kDigitRows * kDigitStep;
// Rows without a larger number are zeros: the inverse of their scale would be no number.
constexpr float kSmallest = 1e-31f;

Float16 magnitude(Float16 x) { return x < 0.0f ? -x : x; }

// What is multiplied with a row to make its numbers whole, and what the whole numbers are multiplied with.
struct RowScale {
  float toWhole, back;
};
RowScale scaleOf(const float* row, int64_t inputs) {
  Float16 most = splat(0), zeros = splat(0);
  for (int64_t i = 0; i < inputs; i += kLanes) {
    const Float16 x = load(row + i, inputs - i);
    most = maximum(most, magnitude(x));
    zeros += x * 0.0f;
  }
  const float largestOne = largest(most);
  if (!(sum(zeros) == 0.0f)) return {0.0f, std::numeric_limits<float>::quiet_NaN()};
  if (largestOne < kSmallest) return {0.0f, 0.0f};
  return {kLargestWhole / largestOne, largestOne / kLargestWhole};
}

}  // namespace

void digitsOfRows(const float* rows, int64_t stride, int64_t count, int64_t inputs, int8_t* tiles, float* scales) {
  const int64_t padded = digitSteps(inputs) * kDigitStep;
  for (int64_t r = 0; r < kDigitRows; r++) {
    const float* row = rows + r * stride;
    const RowScale scale = r < count ? scaleOf(row, inputs) : RowScale{0.0f, 0.0f};
    scales[r] = scale.back;
    for (int64_t i = 0; i < padded; i += kLanes) {
      const bool isThere = scale.toWhole > 0.0f && i < inputs;
      putDigits(isThere ? load(row + i, inputs - i) * scale.toWhole : splat(0), tiles + digitPlace(r, i));
    }
  }
}

// A row of a tile is 64 bytes, as many as 32 numbers of bf16: pairs of those are turned in their own panels.
void digitPanel(const int8_t* tiles, int64_t inputs, int8_t* panel) {
  for (int64_t tile = 0; tile < digitSteps(inputs) * kDigits; tile++)
    panelOfRows(
        {reinterpret_cast<const c10::BFloat16*>(tiles + tile * kTile), kDigitStep / 2, kDigitRows, kDigitStep / 2},
        reinterpret_cast<c10::BFloat16*>(panel + tile * kTile));
}

#if defined(__x86_64__)

#define SELM_AMX_INT8 __attribute__((target("amx-tile,amx-int8,avx512f")))

namespace {

// Bytes of the next panel that are fetched in a step of a pair of digits: eight pairs fetch all of it.
constexpr int64_t kAhead = kDigitTiles / 8;

SELM_AMX_INT8 void fetch(const int8_t* ahead) {
  for (int64_t at = 0; at < kAhead; at += 64) _mm_prefetch(reinterpret_cast<const char*>(ahead) + at, _MM_HINT_T1);
}

//                  panel: B0 B1
//   rows:  A0             C0 C1      Every step of a pair of digits adds four products of tiles to the sums of the pair's level.
//          A1             C2 C3      Of 16 rows or fewer only the upper two.
template <bool kGoesOn, bool kTwoTiles, int64_t kLevels>
SELM_AMX_INT8 void multiplyLevels(const int8_t* tiles, const int8_t* panel, int64_t steps, int32_t* sums,
                                  const int8_t* ahead) {
  constexpr int64_t kRow = 64, kPanelRow = 128;  // bytes
  constexpr int64_t kSquare = kLevel / 4;
  for (int64_t level = 0; level < kLevels; level++, sums += kLevel) {
    if constexpr (kGoesOn) {
      _tile_loadd(0, sums, kRow);
      _tile_loadd(1, sums + kSquare, kRow);
    } else {
      _tile_zero(0);
      _tile_zero(1);
    }
    if constexpr (kTwoTiles && kGoesOn) {
      _tile_loadd(2, sums + 2 * kSquare, kRow);
      _tile_loadd(3, sums + 3 * kSquare, kRow);
    } else if constexpr (kTwoTiles) {
      _tile_zero(2);
      _tile_zero(3);
    }
    const int64_t first = std::max<int64_t>(0, level - kDigits + 1), last = std::min(level, kDigits - 1);
    for (int64_t digit = first; digit <= last; digit++) {
      const int8_t *a = tiles + digit * kTile, *b = panel + (level - digit) * kTile;
      for (int64_t step = 0; step < steps; step++, a += kDigitTiles, b += kDigitTiles) {
        if (ahead != nullptr) {
          fetch(ahead);
          ahead += kAhead;
        }
        _tile_loadd(6, b, kPanelRow);
        _tile_loadd(7, b + kRow, kPanelRow);
        _tile_loadd(4, a, kRow);
        if constexpr (kTwoTiles) _tile_loadd(5, a + kTile / 2, kRow);
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        if constexpr (kTwoTiles) {
          _tile_dpbssd(2, 5, 6);
          _tile_dpbssd(3, 5, 7);
        }
      }
    }
    _tile_stored(0, sums, kRow);
    _tile_stored(1, sums + kSquare, kRow);
    if constexpr (kTwoTiles) {
      _tile_stored(2, sums + 2 * kSquare, kRow);
      _tile_stored(3, sums + 3 * kSquare, kRow);
    }
  }
}

}  // namespace

void multiplyDigits(const int8_t* tiles, const int8_t* panel, int64_t steps, int32_t* sums, bool goesOn) {
  if (goesOn) return multiplyLevels<true, true, kDigits>(tiles, panel, steps, sums, nullptr);
  multiplyLevels<false, true, kDigits>(tiles, panel, steps, sums, nullptr);
}
void multiplyFourLevels(const int8_t* tiles, const int8_t* panel, int64_t steps, int32_t* sums, int64_t rows,
                        bool isFirst) {
  const int8_t* ahead = isFirst ? panel + steps * kDigitTiles : nullptr;
  if (rows > kDigitRows / 2) return multiplyLevels<false, true, kFourLevels>(tiles, panel, steps, sums, ahead);
  multiplyLevels<false, false, kFourLevels>(tiles, panel, steps, sums, ahead);
}
#else
void multiplyDigits(const int8_t*, const int8_t*, int64_t, int32_t*, bool) {}
void multiplyFourLevels(const int8_t*, const int8_t*, int64_t, int32_t*, int64_t, bool) {}
#endif

}  // namespace selm
