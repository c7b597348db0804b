// Lays matrices of bf16 out for products by tiles: as tiles of 32 rows, and as panels of 32 columns (panels.h has their picture). Whichever
// way a matrix lies in memory, one of these brings it there in one pass:
//
//   as it lies                      a left factor                    a right factor
//
//   one lane after the other        tilesOfRows                      panelOfRows
//   one input after the other       tilesOfColumns                   panelOfColumns
//
// Tiles lie step by step:
//
//   inputs 0 .. 31    rows 0 .. 15   | row 0: 32 numbers | row 1: 32 numbers | ...
//                     rows 16 .. 31  | ...
//   inputs 32 .. 63   ...
//
// A lane is a row of the left factor or a column of the right one; inputs are what is summed over. Lanes are at most 32; missing lanes
// and inputs, up to whole tiles of 32, are zeros.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace selm {

// Lanes of a matrix in memory: number i of lane l lies at x[l * stride + i] of a matrix by rows, at x[i * stride + l] of one by columns.
struct Lanes {
  const c10::BFloat16* x;
  int64_t stride, count, inputs;
};

// Inputs of columns that are packed before the same inputs of the columns beside them. An input of 32 columns is one line of the cache, and the
// next input lies a row of the matrix further on, so that a processor which is led down the columns waits for memory with each line:
//
//        columns 0 .. 31   32 .. 63   64 .. 95         1, 2, .. is the order in which they are packed; what follows is fetched meanwhile
//   inputs 0 .. 31   1         2          3
//   inputs 32 .. 63  4         5          6
constexpr int64_t kColumnInputs = 32;

void tilesOfRows(const Lanes& lanes, c10::BFloat16* tiles);
void tilesOfColumns(const Lanes& lanes, c10::BFloat16* tiles);
void panelOfRows(const Lanes& lanes, c10::BFloat16* panel);
void panelOfColumns(const Lanes& lanes, c10::BFloat16* panel);

}  // namespace selm
