// What products by panels share, whatever their type: how a factor may lie, and where its sums go.
#pragma once
#include <ATen/ATen.h>

#include "../checks.h"
#include "rounding.h"

namespace selm {

// One stride of a factor is 1, or it is copied.
inline at::Tensor oneWay(const at::Tensor& x) { return x.stride(0) == 1 || x.stride(1) == 1 ? x : x.contiguous(); }

// The lines that a panel's results go to, in rows `stride` numbers apart, are on their way to the cache while the results are computed.
template <typename T>
void fetchRows(const T* first, int64_t stride, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < kPanel; i += kLanes) __builtin_prefetch(first + row * stride + i, 1);
  }
}

// y [M, N] = sums, or sums are added to it; with a bias [N] or none.
template <typename T>
struct Results {
  T* y;
  int64_t columns;
  const float* bias;
  bool adds;

  // To what was written something is added.
  void goOn() {
    bias = nullptr;
    adds = true;
  }
  void fetch(int64_t row, int64_t rows, int64_t column) const { fetchRows(y + row * columns + column, columns, rows); }
  // Sums of a panel, [rows, 32]; `more` is added to them, null for nothing.
  void write(int64_t row, int64_t rows, int64_t column, const float* sums, const float* more = nullptr) const {
    const int64_t width = std::min(kPanel, columns - column);
    for (int64_t r = 0; r < rows; r++) {
      T* to = y + (row + r) * columns + column;
      for (int64_t i = 0; i < width; i += kLanes) {
        Float16 value = load(sums + r * kPanel + i);
        if (more != nullptr) value += load(more + r * kPanel + i);
        if (bias != nullptr) value += load(bias + column + i, width - i);
        storeNormal(to + i, adds ? load(to + i, width - i) + value : value, width - i);
      }
    }
  }
};

}  // namespace selm
