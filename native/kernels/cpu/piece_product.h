// Products of fp32 matrices by the tiles of AMX, in pieces of bf16 (piece_tiles.h): with the error of fp32, and faster than its arithmetic.
#pragma once
#include <ATen/ATen.h>

namespace selm {

// Whether the processor has tiles and the right factor fills one; how many rows the left one has decides nothing.
bool hasPieceProduct(const at::Tensor& a, const at::Tensor& b);

// sum [M, N], contiguous fp32, becomes all a[i] [M, K] b[i] [K, N] together, plus a bias [N] or none; or that is added to what it holds. An
// element's bits depend on its row, its column and the numbers of inputs alone.
void multiplyInPieces(at::TensorList a, at::TensorList b, const at::Tensor& sum, const float* bias, bool adds);

}  // namespace selm
