// Compiled for AMX and AVX-512 whatever machine compiles, and called only where paths.cc found AMX.
#include "piece_tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#include "turn_x86.h"

namespace selm {

#define SELM_AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw")))

namespace {

using Bf16 = c10::BFloat16;

constexpr int64_t kTile = 512;  // numbers of a tile
constexpr int64_t kHalf = 16;   // lanes of a tile, and inputs of half a step

SELM_AVX512_INLINE __mmask16 firstOnes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kHalf)) - 1);
}

// Two vectors of fp32 as three of pairs of bf16. Rounding to the nearest leaves no more than 16 and then 8 bits.
SELM_AVX512_INLINE void storePieces(__m512 low, __m512 high, Bf16* row) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000)), half = _mm512_set1_epi32(0x8000);
  for (int64_t piece = 0; piece < kPieces; piece++) {
    __m512i lowBits = _mm512_castps_si512(low), highBits = _mm512_castps_si512(high);
    if (piece < kPieces - 1) {
      lowBits = _mm512_add_epi32(lowBits, half);
      highBits = _mm512_add_epi32(highBits, half);
    }
    const __m512i highPiece = _mm512_and_si512(highBits, upper);
    _mm512_storeu_si512(row + piece * 2 * kTile, _mm512_or_si512(_mm512_srli_epi32(lowBits, 16), highPiece));
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(lowBits, upper)));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(highPiece));
  }
}

// Sixteen vectors of 16 numbers, one every `stride`; of the first `count` of them the first `numbers`, the rest is zero.
struct Square {
  const float* x;
  int64_t stride, count;
  __mmask16 numbers;
  SELM_AVX512_INLINE __m512 row(int64_t i) const {
    return i < count ? _mm512_maskz_loadu_ps(numbers, x + i * stride) : _mm512_setzero_ps();
  }
  // What is packed next lies behind these numbers.
  SELM_AVX512_INLINE void fetchBehind(int64_t i) const {
    _mm_prefetch(reinterpret_cast<const char*>(x + i * stride + kStep), _MM_HINT_T0);
  }
};

SELM_AVX512_INLINE void storeSquares(const Square& low, const Square& high, Bf16* tile) {
  for (int64_t i = 0; i < kHalf; i++) {
    low.fetchBehind(i);
    high.fetchBehind(i);
    storePieces(low.row(i), high.row(i), tile + i * kStep);
  }
}

SELM_AVX512_INLINE void storeTurned(const Square& low, const Square& high, Bf16* tile) {
  __m512i lows[16], highs[16];
  for (int64_t i = 0; i < kHalf; i++) {
    low.fetchBehind(i);
    high.fetchBehind(i);
    lows[i] = _mm512_castps_si512(low.row(i));
    highs[i] = _mm512_castps_si512(high.row(i));
  }
  turn(lows);
  turn(highs);
  for (int64_t i = 0; i < kHalf; i++)
    storePieces(_mm512_castsi512_ps(lows[i]), _mm512_castsi512_ps(highs[i]), tile + i * kStep);
}

// Rows of a tile are lanes (of the left factor) or inputs (of the right one). A matrix whose vectors go the other way is turned.
template <bool kRowsAreLanes>
SELM_AVX512 void packGroup(const FloatLanes& lanes, Bf16* tiles) {
  const bool alongInputs = lanes.next == 1;
  // Vectors that keep their way are read one by one to their end: memory is fastest so.
  if (alongInputs && kRowsAreLanes) {
    for (int64_t lane = 0; lane < kTileRows; lane++) {
      const float* x = lanes.x + lane * lanes.lane;
      Bf16* row = tiles + lane * kStep;  // of two tiles that follow each other
      const int64_t count = lane < lanes.count ? lanes.inputs : 0;
      for (int64_t input = 0; input < lanes.inputs; input += kStep, row += kGroupStep) {
        _mm_prefetch(reinterpret_cast<const char*>(x + lanes.lane + input), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(x + lanes.lane + input + kHalf), _MM_HINT_T0);
        storePieces(_mm512_maskz_loadu_ps(firstOnes(count - input), x + input),
                    _mm512_maskz_loadu_ps(firstOnes(count - input - kHalf), x + input + kHalf), row);
      }
    }
    return;
  }
  for (int64_t input = 0; input < lanes.inputs; input += kStep, tiles += kGroupStep) {
    for (int64_t half = 0; half < 2; half++) {
      const float* from = lanes.x + half * kHalf * lanes.lane + input * lanes.next;
      const int64_t count = lanes.count - half * kHalf, inputs = lanes.inputs - input;
      const Square low = alongInputs ? Square{from, lanes.lane, count, firstOnes(inputs)}
                                     : Square{from, lanes.next, inputs, firstOnes(count)};
      const Square high = alongInputs ? Square{from + kHalf, lanes.lane, count, firstOnes(inputs - kHalf)}
                                      : Square{from + kHalf * lanes.next, lanes.next, inputs - kHalf, firstOnes(count)};
      if (alongInputs == kRowsAreLanes) {
        storeSquares(low, high, tiles + half * kTile);
      } else {
        storeTurned(low, high, tiles + half * kTile);
      }
    }
  }
}

}  // namespace

void leftTiles(const FloatLanes& lanes, Bf16* tiles) { packGroup<true>(lanes, tiles); }
void rightTiles(const FloatLanes& lanes, Bf16* tiles) { packGroup<false>(lanes, tiles); }

// Four sums of 16 x 16, as panels_x86.cc draws them, in tiles 0 to 3. Small products are added first, those of the first pieces last: what is
// small is then rounded at its own size. Each move to the next product changes one of both factors.
SELM_AMX void multiplyPieces(const Bf16* left, const Bf16* right, int64_t steps, float* y) {
  constexpr int64_t kRow = 64, kResultRow = 128;  // bytes
#define SELM_LOAD_LEFT(PIECE)                          \
  _tile_loadd(4, a + ((PIECE) - 1) * 2 * kTile, kRow); \
  _tile_loadd(5, a + ((PIECE) - 1) * 2 * kTile + kTile, kRow);
#define SELM_LOAD_RIGHT(PIECE)                         \
  _tile_loadd(6, b + ((PIECE) - 1) * 2 * kTile, kRow); \
  _tile_loadd(7, b + ((PIECE) - 1) * 2 * kTile + kTile, kRow);
#define SELM_MULTIPLY()    \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; step++) {
    const Bf16 *a = left + step * kGroupStep, *b = right + step * kGroupStep;
    SELM_LOAD_LEFT(3)
    SELM_LOAD_RIGHT(1)
    SELM_MULTIPLY()
    SELM_LOAD_LEFT(2)
    SELM_MULTIPLY()
    SELM_LOAD_RIGHT(2)
    SELM_MULTIPLY()
    SELM_LOAD_LEFT(1)
    SELM_MULTIPLY()
    SELM_LOAD_RIGHT(3)
    SELM_MULTIPLY()
  }
  for (int64_t step = 0; step < steps; step++) {
    const Bf16 *a = left + step * kGroupStep, *b = right + step * kGroupStep;
    SELM_LOAD_LEFT(1)
    SELM_LOAD_RIGHT(1)
    SELM_MULTIPLY()
  }
#undef SELM_LOAD_LEFT
#undef SELM_LOAD_RIGHT
#undef SELM_MULTIPLY
  _tile_stored(0, y, kResultRow);
  _tile_stored(1, y + 16, kResultRow);
  _tile_stored(2, y + 16 * 32, kResultRow);
  _tile_stored(3, y + 16 * 32 + 16, kResultRow);
}

// Other threads see what was streamed after the next locked instruction, which the end of a task is (team.cc).
SELM_AVX512 void streamSums(float* y, int64_t stride, int64_t rows, int64_t width, const float* sums,
                            const float* more) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < width; i += kHalf) {
      __m512 value = _mm512_load_ps(sums + row * kTileRows + i);
      if (more != nullptr) value = _mm512_add_ps(value, _mm512_load_ps(more + row * kTileRows + i));
      _mm512_stream_ps(y + row * stride + i, value);
    }
  }
}

}  // namespace selm
#else
// Never called: paths.cc finds none of these instructions here.
namespace selm {
void leftTiles(const FloatLanes&, c10::BFloat16*) {}
void rightTiles(const FloatLanes&, c10::BFloat16*) {}
void multiplyPieces(const c10::BFloat16*, const c10::BFloat16*, int64_t, float*) {}
void streamSums(float*, int64_t, int64_t, int64_t, const float*, const float*) {}
}  // namespace selm
#endif
