// The squares of all numbers of some tensors, added up in fp64: what a gradient's norm is the root of.
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "../backends.h"
#include "../composite.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

// A tensor is cut into parts of so many numbers. Whichever thread takes a part, its sum is the same, and sums are added in the order of the
// parts: the bits do not depend on the number of threads.
constexpr int64_t kPart = 1 << 16;
int64_t partsOf(const at::Tensor& x) { return (x.numel() + kPart - 1) / kPart; }

typedef double Double8 __attribute__((vector_size(64)));

template <typename T>
double squaresOf(const T* x, int64_t count) {
  Double8 first{}, second{};
  for (int64_t i = 0; i < count; i += kLanes) {
    const Float16 v = load(x + i, count - i);
    const auto low = __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), Double8);
    const auto high = __builtin_convertvector(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15), Double8);
    first += low * low;
    second += high * high;
  }
  const Double8 sums = first + second;
  double sum = 0;
  for (int i = 0; i < 8; i++) sum += sums[i];
  return sum;
}

double squaresOfPart(const at::Tensor& x, int64_t part) {
  const int64_t begin = part * kPart, count = std::min(kPart, x.numel() - begin);
  return x.scalar_type() == at::kFloat ? squaresOf(x.const_data_ptr<float>() + begin, count)
                                       : squaresOf(x.const_data_ptr<c10::BFloat16>() + begin, count);
}

at::Tensor sumOfSquares(at::TensorList tensors) {
  std::vector<at::Tensor> all;
  std::vector<int64_t> firstParts{0};
  for (const at::Tensor& x : tensors) {
    if (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16) return composite::sumOfSquares(tensors);
    all.push_back(x.contiguous());
    firstParts.push_back(firstParts.back() + partsOf(x));
  }
  std::vector<double> sums(firstParts.back());
  shareRanges(firstParts.back(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      const auto tensor = std::upper_bound(firstParts.begin(), firstParts.end(), part) - firstParts.begin() - 1;
      sums[part] = squaresOfPart(all[tensor], part - firstParts[tensor]);
    }
  });
  return at::scalar_tensor(std::accumulate(sums.begin(), sums.end(), 0.0), at::kDouble);
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (selm::hasCpuKernels()) library.impl("sum_of_squares", &selm::sumOfSquares);
}
