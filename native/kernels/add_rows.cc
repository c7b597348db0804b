// The gradient of an embedding: rows of tokens are added to the rows of their ids.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "backends.h"
#include "upload.h"

namespace selm {
namespace {

void checkAddRows(const at::Tensor& total, at::IntArrayRef ids, const at::Tensor& rows) {
  TORCH_CHECK(total.dim() == 2 && rows.dim() == 2 && rows.size(1) == total.size(1) &&
                  static_cast<int64_t>(ids.size()) == rows.size(0),
              "add_rows_: rows ", rows.sizes(), " need one id each and fit ", total.sizes(), ", got ", ids.size(),
              " ids");
  for (const int64_t id : ids)
    TORCH_CHECK(id >= 0 && id < total.size(0), "add_rows_: id ", id, " is none of ", total.size(0), " rows");
}

// index_add_ adds in any order where threads do it together. Here the host sorts the ids: each one's rows stand together, are added up one
// after the other, and go to a row of their own.
at::Tensor& addRows_(at::Tensor& total, at::IntArrayRef ids, const at::Tensor& rows, double alpha) {
  checkAddRows(total, ids, rows);
  std::vector<int64_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return ids[a] < ids[b]; });
  std::vector<int64_t> distinct, lengths;
  for (const int64_t row : order) {
    if (distinct.empty() || distinct.back() != ids[row]) {
      distinct.push_back(ids[row]);
      lengths.push_back(0);
    }
    lengths.back()++;
  }
  std::vector<int64_t> numbers = order;
  numbers.insert(numbers.end(), lengths.begin(), lengths.end());
  numbers.insert(numbers.end(), distinct.begin(), distinct.end());
  const auto places = onDevice(numbers, rows.device())
                          .split_with_sizes({static_cast<int64_t>(order.size()), static_cast<int64_t>(lengths.size()),
                                             static_cast<int64_t>(distinct.size())});
  const at::Tensor sorted = rows.index_select(0, places[0]).to(at::kFloat);
  const at::Tensor sums = at::segment_reduce(sorted, "sum", places[1], std::nullopt, std::nullopt, 0, /*unsafe=*/true);
  return total.index_add_(0, places[2], sums.to(total.scalar_type()), alpha);
}

// The CPU's index_add_ has one order, and needs no second copy of the rows.
at::Tensor& addRowsCpu_(at::Tensor& total, at::IntArrayRef ids, const at::Tensor& rows, double alpha) {
  if (total.scalar_type() != at::kFloat) return addRows_(total, ids, rows, alpha);
  checkAddRows(total, ids, rows);
  return total.index_add_(0, at::tensor(ids, at::kLong), rows.to(at::kFloat), alpha);
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) { library.impl("add_rows_", &selm::addRows_); }
TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (selm::hasCpuKernels()) library.impl("add_rows_", &selm::addRowsCpu_);
}
