// A product of rows with one panel of packed weights: 32 outputs. Each result is one sum over the inputs in ascending order
// that starts at zero, whatever rows share the call: a row's bits depend on the row, the weights and the path, and on
// nothing else.
//
//   weights W [O, I]                    packed, bf16: pairs of inputs          packed, fp32
//
//          inputs ->                    panel 0:  outputs 0 .. 31              panel 0:  outputs 0 .. 31
//   o  +-----------------+              pair 0   |w00 w01|w10 w11| ... |       input 0  |w00|w10| ... |
//   u  | w00 w01 w02 ... |              pair 1   |w02 w03|w12 w13| ... |       input 1  |w01|w11| ... |
//   t  | w10 w11 w12 ... |      ->      ...                                    ...
//   p  | ...             |              panel 1:  outputs 32 .. 63             panel 1:  outputs 32 .. 63
//
// In bf16 half a row of a panel, 16 outputs by 2 inputs, is one register of AVX-512, and sixteen of them are one tile of AMX.
// Inputs are padded with zeros to whole tiles (kStep), outputs to whole panels.
#pragma once
#include <cstdint>

#include "paths.h"
#include "vector.h"

namespace selm {

constexpr int64_t kStep = 32;      // inputs of a tile
constexpr int64_t kPieces = 3;     // numbers of bf16 whose sum is a number of fp32
constexpr int64_t kTileRows = 32;  // rows of x that a bf16 path takes at once: two tiles

// Rows that bf16 operands take in memory.
inline int64_t roomFor(int64_t rows) { return (rows + kTileRows - 1) / kTileRows * kTileRows; }

// y [rows, 32] = x [rows, inputs] times a panel; `inputs` is a multiple of kStep, rows at most kTileRows. x and y have room
// for kTileRows rows; rows past the last hold anything and their results are not read. Whoever is the first to read a panel
// says so: its weights are then fetched ahead of their use, and what follows the panel in memory after them.
void amxPanel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool isFirst);
// Goes on from the sums in y: inputs in two parts give the bits that they give as one.
void amxPanelOnto(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                  bool isFirst);
// Where tiles of 32 rows lie: numbers from one row to the next, from the first 16 rows to the other ones, and from a step to the next.
struct RowTiles {
  const c10::BFloat16* x;
  int64_t row, half, step;
};
// Lines of memory that a product brings to the second-level cache meanwhile, `lines` of them with each step, or with each piece of a step.
struct Ahead {
  const c10::BFloat16* from;
  int64_t lines;

  // Groups of rows that are multiplied with the same inputs of a panel share the inputs that are next:
  //
  //   a panel in memory    | inputs that are multiplied now | inputs that are next, as many                       |
  //                        | by group 0, 1, 2, 3            | fetched by group 0 | by group 1 | by 2 | by group 3 |
  static Ahead shareOf(int64_t group, int64_t groups, const c10::BFloat16* next, int64_t inputs) {
    constexpr int64_t kLine = 32, kStepLines = 32;  // numbers of a line, lines of a step
    const int64_t steps = inputs / kStep, lines = (kStepLines + groups - 1) / groups;
    return {next + group * steps * lines * kLine, group * lines < kStepLines ? lines : 0};
  }
};
// amxPanel of such tiles of rows; goes on from the sums in y, or begins with zero.
void amxRowTiles(const RowTiles& rows, int64_t inputs, const c10::BFloat16* panel, float* y, bool goesOn,
                 const Ahead& ahead);
// The same of fp32 rows in pieces: each number is the sum of three that bf16 holds, exactly (unless it is smaller than 1e-33).
// Tiles lie in the order in which they are read:
//
//   rows 0 .. 31:   inputs 0 .. 31    first pieces   16 rows of 32 inputs | the next 16 rows
//                                     second pieces  ...
//                                     third pieces   ...
//                   inputs 32 .. 63   ...
//   rows 32 .. 63:  ...
//
// The second and third pieces of all inputs come before the first ones: what is added then is rounded at its own size, and the sum has the
// error of an fp32 product.
void amxSmallPieces(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                    bool goesOn, const Ahead& ahead);
void amxFirstPieces(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                    const Ahead& ahead);
// Takes a row apart, padded with zeros; `tiles` is the row's place in the first tile.
void amxPieces(const float* row, int64_t inputs, c10::BFloat16* tiles, int64_t padded);
// Sums of a panel, rounded to whole lines of y that go past the caches: for results that no cache would hold until they are read.
void streamRounded(const float* sums, int64_t rows, c10::BFloat16* y, int64_t stride);
void avx512Bf16Panel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                     bool isFirst);
// In fp32, by whatever vectors the compiler was allowed; bf16 factors are widened.
void vectorPanel(const float* x, int64_t inputs, const float* panel, float* y, int64_t rows, bool isFirst);
void vectorPanel(const float* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows, bool isFirst);
void vectorPanel(const c10::BFloat16* x, int64_t inputs, const c10::BFloat16* panel, float* y, int64_t rows,
                 bool isFirst);

// A thread that calls amxPanel holds one of these meanwhile: the shape of the tiles.
struct AmxTiles {
  AmxTiles();
  ~AmxTiles();
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

}  // namespace selm
