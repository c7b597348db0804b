// An encoder's operators said in LibTorch's own.
#include <torch/library.h>

#include "checks.h"
#include "composite.h"

namespace selm::composite {
namespace {

at::Tensor onDevice(at::IntArrayRef values, const at::Device& device) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong)).to(device);
}

// Places of tokens; those that follow each other are counted where they are needed.
at::Tensor placesOn(at::IntArrayRef places, const at::Device& device) {
  for (size_t i = 1; i < places.size(); i++)
    if (places[i] != places[i - 1] + 1) return onDevice(places, device);
  return at::arange(places.front(), places.back() + 1, at::TensorOptions().dtype(at::kLong).device(device));
}

// k . Qr for each query and key, [H, Q, K]: rows_QK name the rows of the table [R, H, d].
at::Tensor keysByDistance(const at::Tensor& k_HKd, const at::Tensor& table, const at::Tensor& rows_QK,
                          const at::Tensor& table_HdR, int64_t first) {
  const int64_t heads = k_HKd.size(0), asked = rows_QK.size(0), known = rows_QK.size(1), width = k_HKd.size(2);
  // A few queries ask for a few rows of each key, and only those are multiplied. bf16 sums in bmm alone are in fp32.
  if (asked * 16 <= table_HdR.size(2) && k_HKd.scalar_type() != at::kBFloat16) {
    const at::Tensor rows_QKHd = table.index_select(0, rows_QK.flatten()).view({asked, known, heads, width});
    return (rows_QKHd * k_HKd.transpose(0, 1)).sum(-1).permute({2, 0, 1});
  }
  const at::Tensor rows_HKQ = (rows_QK - first).t().expand({heads, known, asked});
  return k_HKd.bmm(table_HdR).gather(2, rows_HKQ).transpose(1, 2);
}

// scores [H, Q, K] of one sequence: those of contents, and to them added what its distances say.
at::Tensor disentangledScores(const at::Tensor& q_HQd, const at::Tensor& k_HKd, const std::optional<at::Tensor>& keys,
                              const std::optional<at::Tensor>& queries, const at::Tensor& rows_QK, int64_t first,
                              int64_t count) {
  const int64_t heads = q_HQd.size(0), asked = q_HQd.size(1), known = k_HKd.size(1);
  // Of a table [R, H, d], the rows that occur: [H, d, R].
  const auto some = [&](const at::Tensor& table) { return table.narrow(0, first, count).permute({1, 2, 0}); };
  at::Tensor scores = q_HQd.bmm(k_HKd.transpose(1, 2));
  if (keys.has_value() && keys->defined())
    scores.add_(q_HQd.bmm(some(*keys)).gather(2, (rows_QK - first).expand({heads, asked, known})));
  if (queries.has_value() && queries->defined())
    scores.add_(keysByDistance(k_HKd, *queries, rows_QK, some(*queries), first));
  return scores;
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> packLinear(const at::Tensor& weight) {
  checkPackLinear(weight);
  return {weight.detach(), at::empty({0}, weight.options())};
}

at::Tensor packedLinear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor&, const at::Tensor& bias,
                        std::string_view activation) {
  checkPackedLinear(x, bias, activation);
  const at::Tensor y = at::linear(x, packed, bias.to(x.scalar_type()));
  return activation == "gelu" ? at::gelu(y) : y;
}

at::Tensor disentangledAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const std::optional<at::Tensor>& relativeKeys,
                                 const std::optional<at::Tensor>& relativeQueries, at::IntArrayRef rows,
                                 at::IntArrayRef queryPositions, at::IntArrayRef keyPositions,
                                 at::IntArrayRef sequences, std::string_view) {
  checkDisentangled(q, k, v, relativeKeys, relativeQueries, rows, queryPositions, keyPositions, sequences);
  const auto isThere = [](const std::optional<at::Tensor>& x) { return x.has_value() && x->defined() ? 1 : 0; };
  const int64_t terms = 1 + isThere(relativeKeys) + isThere(relativeQueries), middle = rows.size() / 2;
  const at::Tensor allRows = onDevice(rows, q.device());
  std::vector<at::Tensor> parts;
  int64_t query = 0, key = 0;
  for (size_t i = 0; i < sequences.size(); i += 2) {
    const int64_t asked = sequences[i], known = sequences[i + 1];
    const at::IntArrayRef own = queryPositions.slice(query, asked), all = keyPositions.slice(key, known);
    if (asked > 0) {
      const int64_t least = own.front() - all.back(), most = own.back() - all.front();
      const int64_t first = rows[middle + least], count = rows[middle + most] - first + 1;
      const at::Tensor distances_QK =
          placesOn(own, q.device()).unsqueeze(1) - placesOn(all, q.device()).unsqueeze(0) + middle;
      const at::Tensor rows_QK = allRows.index_select(0, distances_QK.flatten()).view({asked, known});
      const auto ofHeads = [](const at::Tensor& x, int64_t start, int64_t length) {
        return x.narrow(0, start, length).transpose(0, 1);
      };
      const at::Tensor scores = disentangledScores(ofHeads(q, query, asked), ofHeads(k, key, known), relativeKeys,
                                                   relativeQueries, rows_QK, first, count);
      const double scale = 1.0 / std::sqrt(static_cast<double>(terms * q.size(2)));
      const at::Tensor context_HQd = (scores * scale).softmax(-1).bmm(ofHeads(v, key, known));
      parts.push_back(context_HQd.transpose(0, 1).reshape({asked, q.size(1) * q.size(2)}));
    }
    query += asked;
    key += known;
  }
  return at::cat(parts);
}

}  // namespace selm::composite

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  using namespace selm::composite;
  library.impl("pack_linear", &packLinear);
  library.impl("packed_linear", &packedLinear);
  library.impl("disentangled_attention", &disentangledAttention);
}
