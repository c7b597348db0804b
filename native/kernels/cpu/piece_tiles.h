// fp32 matrices as three matrices of bf16 whose sum they are, laid out for products by tiles. bf16 keeps 8 bits of a number, fp32 24:
//
//   x  =  first piece  +  second  +  third       each is what bf16 holds of what is left; nothing is left of the third
//
// (of numbers above 1e-33; smaller ones lose their last bits, and what is not finite makes a product NaN). Of the nine products of pieces
// six are computed. The other three are below 2^-24 of |a b|, which is what fp32 rounds away.
//
// Lanes are rows of the left factor or columns of the right one; 32 of them are a group. Tiles of a group lie as they are read, each 1 KiB:
//
//   inputs 0 .. 31    first pieces    lanes 0 .. 15 | lanes 16 .. 31
//                     second pieces   ...
//                     third pieces    ...
//   inputs 32 .. 63   ...
//
//   a tile of the left factor                          a tile of the right factor
//   lane 0 | input 0, 16 | input 1, 17 | ...           inputs 0, 16 | lane 0 | lane 1 | ...
//   lane 1 | input 0, 16 | ...                         inputs 1, 17 | lane 0 | ...
//
// A sum does not care which inputs stand together, as long as both factors agree: 16 apart they need no shuffling.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

#include "panels.h"

namespace selm {

// Numbers of a group's tiles for one step of 32 inputs: two tiles a piece.
constexpr int64_t kGroupStep = kPieces * kTileRows * kStep;

// Lanes of an fp32 matrix: number i of lane l lies at x[l * lane + i * next], and one of both strides is 1. At most 32 lanes; missing lanes and
// inputs are zeros.
struct FloatLanes {
  const float* x;
  int64_t lane, next, count, inputs;
};

void leftTiles(const FloatLanes& lanes, c10::BFloat16* tiles);
void rightTiles(const FloatLanes& lanes, c10::BFloat16* tiles);

// y [32, 32] = a group of the left factor times a group of the right one; the caller holds AmxTiles.
void multiplyPieces(const c10::BFloat16* left, const c10::BFloat16* right, int64_t steps, float* y);
// Sums [rows, 32], with `more` added to them unless it is null, go past the caches to y: `width` columns, a multiple of 16, that begin with a
// line of the cache.
void streamSums(float* y, int64_t stride, int64_t rows, int64_t width, const float* sums, const float* more);

}  // namespace selm
