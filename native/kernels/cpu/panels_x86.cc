// Products of a panel by AMX and by AVX512-BF16. Compiled for those instructions whatever machine compiles, and called only
// where paths.cc found them.
#if defined(__x86_64__)
#include <immintrin.h>

#include "panels.h"

namespace selm {

#define SELM_AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512bf16")))
#define SELM_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace {

// Palette 1; tiles 0 to 7 all of 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Functions of their own: GCC forgets a constructor's target where the machine that compiles has no AMX.
SELM_AMX void loadTiles() {
  static const TileConfiguration configuration;
  _tile_loadconfig(&configuration);
}
SELM_AMX void releaseTiles() { _tile_release(); }

}  // namespace

AmxTiles::AmxTiles() { loadTiles(); }
AmxTiles::~AmxTiles() { releaseTiles(); }

namespace {

// Bytes of weights between what is multiplied and what is fetched: two steps, which hide the way from memory.
constexpr int64_t kAhead = 4096;
constexpr int64_t kLine = 64;

// A step's place in a panel, and how many turns came before: of rows in pieces a step has a turn for each piece.
struct Step {
  const c10::BFloat16* weights;
  int64_t turn;
};
// Each turn fetches its lines in so many parts, between its loads and products: a burst of them would take all the places in which the core
// waits for lines, and the turn's own loads had none.
constexpr int kParts = 8;

// What is fetched while a panel is multiplied, turn by turn: its own weights, by whoever reads them first; or what comes after them.
struct OwnWeights {
  bool isFirst;
  SELM_AMX void fetch(const Step& step, int part) const {
    constexpr int64_t kBytes = kStep * 32 * 2 / kParts;
    if (!isFirst) return;
    const char* first = reinterpret_cast<const char*>(step.weights) + kAhead + part * kBytes;
    for (int64_t at = 0; at < kBytes; at += kLine) _mm_prefetch(first + at, _MM_HINT_T0);
  }
};
struct WhatFollows {
  Ahead ahead;
  SELM_AMX void fetch(const Step& step, int part) const {
    const char* first = reinterpret_cast<const char*>(ahead.from) + step.turn * ahead.lines * kLine;
    for (int64_t line = ahead.lines * part / kParts; line < ahead.lines * (part + 1) / kParts; line++)
      _mm_prefetch(first + line * kLine, _MM_HINT_T1);
  }
};

// Rows of bf16 one after the other.
struct PlainRows {
  static constexpr int kCount = 1;
  const c10::BFloat16* x;
  int64_t inputs;
  int64_t stride() const { return inputs * 2; }  // bytes
  const c10::BFloat16* tile(int64_t input, int, int64_t half) const { return x + half * 16 * inputs + input; }
};
// Tiles wherever they lie.
struct AnyRows {
  static constexpr int kCount = 1;
  RowTiles rows;
  int64_t stride() const { return rows.row * 2; }
  const c10::BFloat16* tile(int64_t input, int, int64_t half) const {
    return rows.x + half * rows.half + input / kStep * rows.step;
  }
};
// Tiles of rows in pieces: pieces kLast, kLast - 1, .. kFirst of each step, the smallest first.
template <int kFirst, int kLast>
struct RowsInPieces {
  static constexpr int kCount = kLast - kFirst + 1;
  const c10::BFloat16* x;
  int64_t stride() const { return 64; }
  const c10::BFloat16* tile(int64_t input, int turn, int64_t half) const {
    return x + ((input / kStep * kPieces + kLast - turn) * 2 + half) * 16 * kStep;
  }
};

//            panel: B0 B1
//   x:  A0          C0 C1     every step of 32 inputs adds four products of tiles; of 16 rows or fewer only the upper two.
//       A1          C2 C3     Of rows in pieces every piece of the step is multiplied with the same B0 and B1.
// Sums begin with zero, or go on from those in y.
template <bool kGoesOn, bool kTwoTiles, typename Operand, typename Fetched>
SELM_AMX void multiplyTiles(const Operand& x, int64_t inputs, const c10::BFloat16* panel, float* y,
                            const Fetched& fetched) {
  constexpr int64_t kPanelBytes = 128, kResultBytes = 128;
  const int64_t stride = x.stride();
  float* lower = y + 16 * 32;
  if constexpr (kGoesOn) {
    _tile_loadd(0, y, kResultBytes);
    _tile_loadd(1, y + 16, kResultBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
  }
  if constexpr (kTwoTiles && kGoesOn) {
    _tile_loadd(2, lower, kResultBytes);
    _tile_loadd(3, lower + 16, kResultBytes);
  } else if constexpr (kTwoTiles) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < inputs; k += kStep) {
    for (int piece = 0; piece < Operand::kCount; piece++) {
      const Step step{panel + k * 32, k / kStep * Operand::kCount + piece};
      fetched.fetch(step, 0);
      if (piece == 0) _tile_loadd(6, step.weights, kPanelBytes);
      fetched.fetch(step, 1);
      if (piece == 0) _tile_loadd(7, step.weights + 32, kPanelBytes);
      fetched.fetch(step, 2);
      _tile_loadd(4, x.tile(k, piece, 0), stride);
      fetched.fetch(step, 3);
      if constexpr (kTwoTiles) _tile_loadd(5, x.tile(k, piece, 1), stride);
      fetched.fetch(step, 4);
      _tile_dpbf16ps(0, 4, 6);
      fetched.fetch(step, 5);
      _tile_dpbf16ps(1, 4, 7);
      fetched.fetch(step, 6);
      if constexpr (kTwoTiles) _tile_dpbf16ps(2, 5, 6);
      fetched.fetch(step, 7);
      if constexpr (kTwoTiles) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, y, kResultBytes);
  _tile_stored(1, y + 16, kResultBytes);
  if constexpr (kTwoTiles) {
    _tile_stored(2, lower, kResultBytes);
    _tile_stored(3, lower + 16, kResultBytes);
  }
}

template <bool kGoesOn, typename Operand>
void rowsByTiles(const Operand& x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool isFirst) {
  if (rows > 16) return multiplyTiles<kGoesOn, true>(x, inputs, panel, y, OwnWeights{isFirst});
  return multiplyTiles<kGoesOn, false>(x, inputs, panel, y, OwnWeights{isFirst});
}

}  // namespace

void amxPanel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
              bool isFirst) {
  rowsByTiles<false>(PlainRows{x, inputs}, inputs, panel, y, rows, isFirst);
}
void amxPanelOnto(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                  bool isFirst) {
  rowsByTiles<true>(PlainRows{x, inputs}, inputs, panel, y, rows, isFirst);
}
void amxRowTiles(const RowTiles& rows, int64_t inputs, const c10::BFloat16* panel, float* y, bool goesOn,
                 const Ahead& ahead) {
  if (goesOn) return multiplyTiles<true, true>(AnyRows{rows}, inputs, panel, y, WhatFollows{ahead});
  multiplyTiles<false, true>(AnyRows{rows}, inputs, panel, y, WhatFollows{ahead});
}

namespace {

template <typename Operand>
void piecesByTiles(const Operand& x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool goesOn,
                   const WhatFollows& fetched) {
  if (rows > 16 && goesOn) return multiplyTiles<true, true>(x, inputs, panel, y, fetched);
  if (rows > 16) return multiplyTiles<false, true>(x, inputs, panel, y, fetched);
  if (goesOn) return multiplyTiles<true, false>(x, inputs, panel, y, fetched);
  multiplyTiles<false, false>(x, inputs, panel, y, fetched);
}

}  // namespace

void amxSmallPieces(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                    bool goesOn, const Ahead& ahead) {
  piecesByTiles(RowsInPieces<1, kPieces - 1>{x}, inputs, panel, y, rows, goesOn, WhatFollows{ahead});
}
void amxFirstPieces(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                    const Ahead& ahead) {
  piecesByTiles(RowsInPieces<0, 0>{x}, inputs, panel, y, rows, true, WhatFollows{ahead});
}

SELM_AVX512_BF16 void streamRounded(const float* sums, int64_t rows, c10::BFloat16* y, int64_t stride) {
  for (int64_t row = 0; row < rows; row++, sums += 32)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(y + row * stride),
                        (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(sums + 16), _mm512_loadu_ps(sums)));
}

namespace {

// What is left of numbers without sixteen pieces of them. Infinity is its own first piece, and nothing is left of it.
SELM_AVX512_BF16 __m512 without(__m512 numbers, __m256i pieces) {
  const __m512i infinity = _mm512_set1_epi32(0x7f800000), magnitude = _mm512_set1_epi32(0x7fffffff);
  const __mmask16 isLeft =
      _mm512_cmpneq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(numbers), magnitude), infinity);
  return _mm512_maskz_sub_ps(isLeft, numbers,
                             _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(pieces), 16)));
}

}  // namespace

SELM_AVX512_BF16 void amxPieces(const float* row, int64_t inputs, c10::BFloat16* tiles, int64_t padded) {
  constexpr int64_t kTile = kTileRows * kStep;  // both tiles of a piece
  const auto there = [&](int64_t i) {
    return static_cast<__mmask16>((1u << std::clamp<int64_t>(inputs - i, 0, 16)) - 1);
  };
  for (int64_t i = 0; i < padded; i += kStep, tiles += kPieces * kTile) {
    __m512 low = _mm512_maskz_loadu_ps(there(i), row + i), high = _mm512_maskz_loadu_ps(there(i + 16), row + i + 16);
    for (int64_t n = 0; n < kPieces; n++) {
      const __m512i pieces = (__m512i)_mm512_cvtne2ps_pbh(high, low);
      _mm512_store_si512(reinterpret_cast<__m512i*>(tiles + n * kTile), pieces);
      low = without(low, _mm512_castsi512_si256(pieces));
      high = without(high, _mm512_extracti64x4_epi64(pieces, 1));
    }
  }
}

namespace {

template <int Rows>
SELM_AVX512_BF16 void rowsByPairs(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y) {
  __m512 sums[Rows][2];
  for (int r = 0; r < Rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < inputs; k += 2) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(panel + k * 32),
                   high = (__m512bh)_mm512_loadu_si512(panel + k * 32 + 32);
    for (int r = 0; r < Rows; r++) {
      int pair;
      __builtin_memcpy(&pair, x + r * inputs + k, sizeof pair);
      const __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], value, low);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], value, high);
    }
  }
  for (int r = 0; r < Rows; r++) {
    _mm512_storeu_ps(y + r * 32, sums[r][0]);
    _mm512_storeu_ps(y + r * 32 + 16, sums[r][1]);
  }
}

}  // namespace

SELM_AVX512_BF16 void avx512Bf16Panel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y,
                                      int64_t rows, bool) {
  int64_t row = 0;
  for (; row + 8 <= rows; row += 8) rowsByPairs<8>(x + row * inputs, inputs, panel, y + row * 32);
  for (; row + 4 <= rows; row += 4) rowsByPairs<4>(x + row * inputs, inputs, panel, y + row * 32);
  for (; row < rows; row++) rowsByPairs<1>(x + row * inputs, inputs, panel, y + row * 32);
}

}  // namespace selm
#else
#include "panels.h"

// Never called: paths.cc finds none of these instructions here.
namespace selm {
AmxTiles::AmxTiles() = default;
AmxTiles::~AmxTiles() = default;
void amxPanel(const c10::BFloat16*, int64_t, const c10::BFloat16*, float*, int64_t, bool) {}
void amxPanelOnto(const c10::BFloat16*, int64_t, const c10::BFloat16*, float*, int64_t, bool) {}
void amxRowTiles(const RowTiles&, int64_t, const c10::BFloat16*, float*, bool, const Ahead&) {}
void streamRounded(const float*, int64_t, c10::BFloat16*, int64_t) {}
void amxSmallPieces(const c10::BFloat16*, int64_t, const c10::BFloat16*, float*, int64_t, bool, const Ahead&) {}
void amxFirstPieces(const c10::BFloat16*, int64_t, const c10::BFloat16*, float*, int64_t, const Ahead&) {}
void amxPieces(const float*, int64_t, c10::BFloat16*, int64_t) {}
void avx512Bf16Panel(const c10::BFloat16*, int64_t, const c10::BFloat16*, float*, int64_t, bool) {}
}  // namespace selm
#endif
