// Compiled for AVX-512 whatever machine compiles, and called only where paths.cc found AMX.
#include "tile_packing.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#include "turn_x86.h"

namespace selm {

namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kTile = 32;  // lanes and inputs of a step
constexpr int64_t kHalf = 16;

uint32_t firstOnes(int64_t count) { return count >= 32 ? ~0u : (1u << std::max<int64_t>(count, 0)) - 1; }

// Numbers from x on, zeros past the last.
SELM_AVX512_INLINE __m512i thirtyTwo(const Bf16* x, int64_t count) {
  return _mm512_maskz_loadu_epi16(firstOnes(count), x);
}

// Two inputs of 32 lanes, lane by lane beside each other: lanes 0 to 15, and the others. What is packed next is fetched meanwhile: the lanes
// beside these, and two rounds later the same lanes (tile_packing.h).
struct Pairs {
  __m512i low, high;
};
SELM_AVX512_INLINE Pairs pairsOf(const Lanes& columns, int64_t input) {
  for (int64_t i = input; i < std::min(input + 2, columns.inputs); i++) {
    const Bf16* const lanes = columns.x + i * columns.stride;
    _mm_prefetch(reinterpret_cast<const char*>(lanes + kTile), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(lanes + 2 * kColumnInputs * columns.stride), _MM_HINT_T1);
  }
  const __m512i first =
      input < columns.inputs ? thirtyTwo(columns.x + input * columns.stride, columns.count) : _mm512_setzero_si512();
  const __m512i second = input + 1 < columns.inputs ? thirtyTwo(columns.x + (input + 1) * columns.stride, columns.count)
                                                    : _mm512_setzero_si512();
  const auto beside = [](__m256i a, __m256i b) SELM_AVX512 {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
  };
  return {beside(_mm512_castsi512_si256(first), _mm512_castsi512_si256(second)),
          beside(_mm512_extracti64x4_epi64(first, 1), _mm512_extracti64x4_epi64(second, 1))};
}

}  // namespace

SELM_AVX512 void tilesOfRows(const Lanes& rows, Bf16* tiles) {
  for (int64_t input = 0; input < rows.inputs; input += kTile) {
    for (int64_t lane = 0; lane < kTile; lane++) {
      const __m512i numbers = lane < rows.count ? thirtyTwo(rows.x + lane * rows.stride + input, rows.inputs - input)
                                                : _mm512_setzero_si512();
      _mm512_storeu_si512(tiles + (input + lane) * kTile, numbers);
    }
  }
}

// Pairs of inputs are numbers of 32 bits: sixteen pairs of sixteen lanes are a square, turned.
SELM_AVX512 void tilesOfColumns(const Lanes& columns, Bf16* tiles) {
  for (int64_t input = 0; input < columns.inputs; input += kTile) {
    __m512i squares[2][16];
    for (int64_t pair = 0; pair < kHalf; pair++) {
      const Pairs pairs = pairsOf(columns, input + 2 * pair);
      squares[0][pair] = pairs.low;
      squares[1][pair] = pairs.high;
    }
    for (int64_t half = 0; half < 2; half++) {
      turn(squares[half]);
      for (int64_t i = 0; i < kHalf; i++)
        _mm512_storeu_si512(tiles + (input + half * kHalf + i) * kTile, squares[half][i]);
    }
  }
}

// The same inputs of the rows of the next panel are fetched meanwhile.
SELM_AVX512 void panelOfRows(const Lanes& rows, Bf16* panel) {
  for (int64_t input = 0; input < rows.inputs; input += kTile) {
    for (int64_t half = 0; half < kTile; half += kHalf) {
      __m512i square[16];
      for (int64_t i = 0; i < kHalf; i++) {
        const Bf16* const numbers = rows.x + (half + i) * rows.stride + input;
        _mm_prefetch(reinterpret_cast<const char*>(numbers + kTile * rows.stride), _MM_HINT_T1);
        square[i] = half + i < rows.count ? thirtyTwo(numbers, rows.inputs - input) : _mm512_setzero_si512();
      }
      turn(square);
      for (int64_t pair = 0; pair < kHalf; pair++)
        _mm512_storeu_si512(panel + (input + 2 * pair) * kTile + 2 * half, square[pair]);
    }
  }
}

SELM_AVX512 void panelOfColumns(const Lanes& columns, Bf16* panel) {
  const int64_t padded = (columns.inputs + kTile - 1) / kTile * kTile;
  for (int64_t input = 0; input < padded; input += 2) {
    const Pairs pairs = pairsOf(columns, input);
    _mm512_storeu_si512(panel + input * kTile, pairs.low);
    _mm512_storeu_si512(panel + input * kTile + kTile, pairs.high);
  }
}

}  // namespace selm
#else
// Never called: paths.cc finds none of these instructions here.
namespace selm {
void tilesOfRows(const Lanes&, c10::BFloat16*) {}
void tilesOfColumns(const Lanes&, c10::BFloat16*) {}
void panelOfRows(const Lanes&, c10::BFloat16*) {}
void panelOfColumns(const Lanes&, c10::BFloat16*) {}
}  // namespace selm
#endif
