// What operators ask of their arguments, whoever computes them: a wrong call is refused with the shapes that it had.
#pragma once
#include <ATen/ATen.h>

namespace selm {

inline void checkRmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0), "rms_norm: x of shape ", x.sizes(),
              " does not end with the weight's length ", weight.sizes());
}

inline void checkRotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) && cos.size(1) * 2 == x.size(2) &&
                  cos.sizes() == sin.sizes(),
              "rotary: x ", x.sizes(), " needs cos and sin of [T, d/2], got ", cos.sizes(), " and ", sin.sizes());
}

inline void checkGate(const at::Tensor& gate, const at::Tensor& up, const char* what) {
  TORCH_CHECK(gate.sizes() == up.sizes(), what, ": gate ", gate.sizes(), " and up ", up.sizes(), " differ");
}

inline void checkLinear(const at::Tensor& x, const at::Tensor& master, const at::Tensor& compute) {
  TORCH_CHECK(master.dim() == 2 && x.size(-1) == master.size(1) && master.sizes() == compute.sizes(),
              "mixed_linear: x of shape ", x.sizes(), " does not fit weights of shape ", master.sizes(),
              " (computed with ", compute.sizes(), ")");
  TORCH_CHECK(x.scalar_type() == compute.scalar_type(), "mixed_linear: x is ", x.scalar_type(),
              " but the weights compute in ", compute.scalar_type());
}

inline void checkProduct(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0) && a.scalar_type() == b.scalar_type(),
              "matrix_product: a ", a.sizes(), " ", a.scalar_type(), " does not fit b ", b.sizes(), " ",
              b.scalar_type());
  TORCH_CHECK(!bias.has_value() || !bias->defined() || bias->sizes() == at::IntArrayRef({b.size(1)}),
              "matrix_product: ", b.size(1), " columns need as many biases");
}

inline void checkSum(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  checkProduct(a, b, std::nullopt);
  TORCH_CHECK(sum.dim() == 2 && sum.size(0) == a.size(0) && sum.size(1) == b.size(1), "add_product_: a sum of shape ",
              sum.sizes(), " is not ", a.size(0), " by ", b.size(1));
  TORCH_CHECK(sum.scalar_type() == at::kFloat || sum.scalar_type() == a.scalar_type(), "add_product_: a sum in ",
              sum.scalar_type(), " is neither fp32 nor of its factors' type ", a.scalar_type());
}

inline void checkSums(at::TensorList sums, at::TensorList a) {
  TORCH_CHECK(sums.size() == a.size(), "add_products_: ", sums.size(), " sums and ", a.size(), " left factors");
}

inline void checkProducts(at::TensorList a, at::TensorList b) {
  TORCH_CHECK(!a.empty() && a.size() == b.size(), "sum_of_products: ", a.size(), " left factors and ", b.size(),
              " right ones");
  for (size_t i = 0; i < a.size(); i++) {
    checkProduct(a[i], b[i], std::nullopt);
    TORCH_CHECK(
        a[i].size(0) == a[0].size(0) && b[i].size(1) == b[0].size(1) && a[i].scalar_type() == a[0].scalar_type(),
        "sum_of_products: a product of ", a[i].sizes(), " and ", b[i].sizes(), " cannot be added to one of ",
        a[0].sizes(), " and ", b[0].sizes());
  }
}

inline void checkHeads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(2) == k.size(2) && k.size(1) > 0 &&
                  q.size(1) % k.size(1) == 0,
              "tree_attention: q ", q.sizes(), " k ", k.sizes(), " v ", v.sizes(),
              " are not [T, H, d], [T, K, d] with K dividing H");
}

inline void checkTreeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  checkHeads(q, k, v);
  TORCH_CHECK(q.size(0) == k.size(0), "tree_attention: q has ", q.size(0), " tokens, k ", k.size(0));
}

inline void checkTargets(const at::Tensor& logits, const at::Tensor& targets, const char* what) {
  TORCH_CHECK(logits.dim() == 2 && targets.dim() == 1 && logits.size(0) == targets.size(0) &&
                  targets.scalar_type() == at::kLong,
              what, ": logits ", logits.sizes(), " need one int64 target a row, got ", targets.sizes(), " ",
              targets.scalar_type());
}

inline void checkCoefficients(const at::Tensor& targets, const at::Tensor& normalisers,
                              const at::Tensor& coefficients) {
  TORCH_CHECK(normalisers.sizes() == targets.sizes() && coefficients.sizes() == targets.sizes() &&
                  normalisers.scalar_type() == at::kFloat && coefficients.scalar_type() == at::kFloat,
              "log_prob_gradient_: normalisers ", normalisers.sizes(), " and coefficients ", coefficients.sizes(),
              " must be fp32, one a row");
}

inline void checkCap(double cap) { TORCH_CHECK(cap > 0, "soft_cap_: the cap must be positive, got ", cap); }

constexpr int64_t kPanel = 32;  // outputs a panel of packed weights

inline int64_t panelsFor(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }

inline void checkPackRows(at::TensorList weights) {
  TORCH_CHECK(!weights.empty(), "pack_rows: no weights are given");
  for (const at::Tensor& weight : weights) {
    TORCH_CHECK(
        weight.dim() == 2 && weight.size(1) == weights[0].size(1) && weight.scalar_type() == weights[0].scalar_type(),
        "pack_rows: weights must be [outputs, inputs] with as many inputs and of one type, got ", weight.sizes(),
        " in ", weight.scalar_type(), " beside ", weights[0].sizes(), " in ", weights[0].scalar_type());
  }
}

inline void checkRowLinears(const at::Tensor& x, const at::Tensor& packed, at::IntArrayRef outputs,
                            const std::optional<at::Tensor>& bias) {
  int64_t panels = 0, count = 0;
  for (const int64_t each : outputs) {
    panels += panelsFor(each);
    count += each;
  }
  TORCH_CHECK(x.dim() == 2 && packed.dim() == 3 && packed.size(1) >= x.size(1) && packed.size(1) < x.size(1) + kPanel &&
                  packed.size(2) == kPanel && packed.size(0) == panels,
              "row_linear: x of shape ", x.sizes(), " does not fit packed weights of shape ", packed.sizes(), " for ",
              outputs, " outputs");
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble || x.scalar_type() == at::kBFloat16,
              "row_linear: x must be fp32 or bf16, got ", x.scalar_type());
  TORCH_CHECK(!bias.has_value() || !bias->defined() || bias->sizes() == at::IntArrayRef({count}), "row_linear: ", count,
              " outputs need as many biases, got ",
              bias.has_value() && bias->defined() ? bias->sizes() : at::IntArrayRef());
}

constexpr int64_t kPageTokens = 16;

inline int64_t pagesFor(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

inline void checkCache(const at::Tensor& keys, const at::Tensor& values, int64_t width, const char* what) {
  TORCH_CHECK(keys.dim() == 4 && values.dim() == 4 && keys.size(2) == width && keys.size(3) == kPageTokens &&
                  values.sizes() == at::IntArrayRef({keys.size(0), keys.size(1), kPageTokens, width}) &&
                  keys.is_contiguous() && values.is_contiguous() && keys.scalar_type() == values.scalar_type(),
              what, ": keys ", keys.sizes(), " and values ", values.sizes(),
              " are not [pages, K, d, 16] and [pages, K, 16, d], contiguous");
}

inline void checkPagedAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                const at::Tensor& tables, const at::Tensor& lengths) {
  TORCH_CHECK(q.dim() == 3, "paged_attention: q must be [B, H, d], got ", q.sizes());
  checkCache(keys, values, q.size(2), "paged_attention");
  TORCH_CHECK(keys.size(1) > 0 && q.size(1) % keys.size(1) == 0, "paged_attention: ", q.size(1), " heads do not share ",
              keys.size(1));
  TORCH_CHECK(tables.dim() == 2 && tables.size(0) == q.size(0) && lengths.sizes() == at::IntArrayRef({q.size(0), 2}) &&
                  tables.scalar_type() == at::kLong && lengths.scalar_type() == at::kLong,
              "paged_attention: tables ", tables.sizes(), " and lengths ", lengths.sizes(),
              " must be int64 [B, M] and [B, 2], B ", q.size(0));
}

// Every page that a sequence reads must be one of `pages`.
inline void checkPages(const int64_t* tables, const int64_t* lengths, int64_t batch, int64_t perTable, int64_t pages) {
  for (int64_t b = 0; b < batch; b++) {
    const int64_t prompt = lengths[b * 2], own = lengths[b * 2 + 1];
    bool isInside = prompt >= 0 && own >= 0 && prompt + own > 0 && pagesFor(prompt) + pagesFor(own) <= perTable;
    for (int64_t i = 0; isInside && i < pagesFor(prompt) + pagesFor(own); i++)
      isInside = tables[b * perTable + i] >= 0 && tables[b * perTable + i] < pages;
    TORCH_CHECK(isInside, "paged_attention: sequence ", b, " points outside its pages");
  }
}

inline void checkWritePages(const at::Tensor& keys, const at::Tensor& values, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& places) {
  TORCH_CHECK(k.dim() == 3 && k.sizes() == v.sizes() && places.dim() == 1 && places.size(0) == k.size(0) &&
                  places.scalar_type() == at::kLong,
              "write_pages: k ", k.sizes(), " and v ", v.sizes(), " must be [T, K, d] with T int64 places, got ",
              places.sizes());
  checkCache(keys, values, k.size(2), "write_pages");
  TORCH_CHECK(keys.size(1) == k.size(1), "write_pages: ", k.size(1), " heads do not fit pages of ", keys.size(1));
}

inline void checkReadPages(const at::Tensor& keys, const at::Tensor& values, const at::Tensor& places) {
  TORCH_CHECK(keys.dim() == 4, "read_pages: keys ", keys.sizes(), " are not [pages, K, d, 16]");
  checkCache(keys, values, keys.size(2), "read_pages");
  TORCH_CHECK(places.dim() == 1 && places.scalar_type() == at::kLong, "read_pages: places must be int64 [T], got ",
              places.sizes());
}

inline void checkSampling(const at::Tensor& logits, double temperature, double topP, size_t uniforms) {
  TORCH_CHECK(logits.dim() == 2 && static_cast<int64_t>(uniforms) == logits.size(0), "sample_tokens: logits ",
              logits.sizes(), " need one uniform number a row, got ", uniforms);
  TORCH_CHECK(temperature >= 0 && topP > 0, "sample_tokens: temperature ", temperature, " must not be negative, top-p ",
              topP, " must be positive");
}

inline void checkPackLinear(const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2 && weight.is_floating_point(), "pack_linear: a weight must be [O, I] of numbers, got ",
              weight.sizes(), " in ", weight.scalar_type());
}

inline void checkPackedLinear(const at::Tensor& x, const at::Tensor& bias, std::string_view activation) {
  TORCH_CHECK(x.dim() == 2 && bias.dim() == 1, "packed_linear: x must be [T, I] and the bias [O], got ", x.sizes(),
              " and ", bias.sizes());
  TORCH_CHECK(activation == "none" || activation == "gelu", "packed_linear: activation ", activation,
              " is not one of none, gelu");
}

inline void checkDisentangled(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const std::optional<at::Tensor>& relativeKeys,
                              const std::optional<at::Tensor>& relativeQueries, at::IntArrayRef rows,
                              at::IntArrayRef queryPositions, at::IntArrayRef keyPositions, at::IntArrayRef sequences) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(1) == k.size(1) &&
                  q.size(2) == k.size(2) && q.scalar_type() == k.scalar_type() && k.scalar_type() == v.scalar_type(),
              "disentangled_attention: q ", q.sizes(), ", k ", k.sizes(), " and v ", v.sizes(),
              " are not [Q, H, d] and twice [T, H, d] of one type");
  int64_t tableRows = std::numeric_limits<int64_t>::max();
  for (const auto* table : {&relativeKeys, &relativeQueries}) {
    if (!table->has_value() || !(*table)->defined()) continue;
    tableRows = std::min(tableRows, (*table)->size(0));
    TORCH_CHECK((*table)->dim() == 3 && (*table)->size(1) == q.size(1) && (*table)->size(2) == q.size(2) &&
                    (*table)->scalar_type() == q.scalar_type(),
                "disentangled_attention: a table ", (*table)->sizes(), " is not [R, H, d] like q ", q.sizes());
  }
  TORCH_CHECK(rows.size() % 2 == 1 &&
                  std::all_of(rows.begin(), rows.end(), [&](int64_t row) { return row >= 0 && row < tableRows; }),
              "disentangled_attention: rows must be one for each distance from -m to m, each of the table's ",
              tableRows);
  int64_t query = 0, key = 0;
  const int64_t most = rows.size() / 2;
  for (size_t i = 0; i + 1 < sequences.size(); i += 2) {
    const int64_t asked = sequences[i], known = sequences[i + 1];
    TORCH_CHECK(asked >= 0 && known > 0 && query + asked <= static_cast<int64_t>(queryPositions.size()) &&
                    key + known <= static_cast<int64_t>(keyPositions.size()),
                "disentangled_attention: sequence ", i / 2, " asks for ", asked, " of ", known,
                " tokens, more than there are");
    const int64_t first = keyPositions[key], last = keyPositions[key + known - 1];
    TORCH_CHECK(
        asked == 0 || (last - queryPositions[query] <= most && queryPositions[query + asked - 1] - first <= most),
        "disentangled_attention: sequence ", i / 2, " has distances beyond ", most);
    query += asked;
    key += known;
  }
  TORCH_CHECK(sequences.size() % 2 == 0 && query == q.size(0) && key == k.size(0) &&
                  query == static_cast<int64_t>(queryPositions.size()) &&
                  key == static_cast<int64_t>(keyPositions.size()),
              "disentangled_attention: sequences of ", query, " queries and ", key, " keys do not cover q ", q.sizes(),
              " and k ", k.sizes());
}

}  // namespace selm
