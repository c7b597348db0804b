// All blocks of a decoder on tokens, for sampling and for scoring: what src/model/decoder.ts says block by block, in one call. A pass over few
// tokens is some three hundred small operators; called one by one from JavaScript they take longer than their arithmetic.
// Written in operators, so that every device has it.
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <functional>

#include "composite.h"

namespace selm {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Weights = c10::List<OptionalTensor>;

// A block's weights, in this order; what a family does not have is none. Matrices are packed (pack_rows): queries, keys and values
// one after the other, and gate and up.
enum Weight : size_t {
  kBeforeAttention,
  kQueryKeyValue,
  kQueryKeyValueBias,
  kQueryNorm,
  kKeyNorm,
  kOutput,
  kOutputBias,
  kAfterAttention,
  kBeforeMlp,
  kGateUp,
  kGateUpBias,
  kDown,
  kDownBias,
  kAfterMlp,
  kWeights
};

// The rows of pages that belong to a layer.
struct LayerPages {
  Tensor keys, values;
};

struct Settings {
  int64_t heads, keyHeads, headSize, innerSize;
  bool normsWhole;  // of queries and keys: all heads as one, or each head
  double epsilon;
  std::string_view activation, arithmetic;
};

template <typename Signature>
auto operatorOf(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor norm(const Tensor& x, const Tensor& weight, double epsilon) {
  static const auto kernel =
      operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, double)>("selm::rms_norm_forward");
  return std::get<0>(kernel.call(x, weight, epsilon));
}

// A norm whose result is only multiplied with a matrix.
Tensor normedOperand(const Tensor& x, const OptionalTensor& weight, const Settings& settings) {
  if (!weight.has_value()) return x;
  static const auto kernel =
      operatorOf<Tensor(const Tensor&, const Tensor&, double, std::string_view)>("selm::rms_norm_operand");
  return kernel.call(x, *weight, settings.epsilon, settings.arithmetic);
}

// Rotates queries and keys, puts keys and values into their pages, and returns the queries in `type`.
Tensor placeHeads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cos, const Tensor& sin,
                  LayerPages& pages, const Tensor& places, at::ScalarType type) {
  static const auto kernel =
      operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, Tensor&, Tensor&,
                        const Tensor&, at::ScalarType)>("selm::place_heads");
  return kernel.call(q, k, v, cos, sin, pages.keys, pages.values, places, type);
}

// A weight that every family has.
const Tensor& required(const OptionalTensor& weight) {
  TORCH_CHECK(weight.has_value(), "decoder_blocks: a matrix is missing");
  return *weight;
}

std::vector<Tensor> products(const Tensor& x, const OptionalTensor& packed, at::IntArrayRef outputs,
                             const OptionalTensor& bias, std::string_view arithmetic) {
  static const auto kernel = operatorOf<std::vector<Tensor>(
      const Tensor&, const Tensor&, at::IntArrayRef, const OptionalTensor&, std::string_view)>("selm::row_linears");
  return kernel.call(x, required(packed), outputs, bias, arithmetic);
}

// sum += norm(x times a matrix), the norm where there is one.
void addProduct(Tensor& sum, const Tensor& x, const OptionalTensor& packed, const OptionalTensor& bias,
                const OptionalTensor& after, const Settings& settings) {
  if (!after.has_value()) {
    static const auto kernel =
        operatorOf<Tensor&(Tensor&, const Tensor&, const Tensor&, const OptionalTensor&, std::string_view)>(
            "selm::add_row_linear_");
    kernel.call(sum, x, required(packed), bias, settings.arithmetic);
    return;
  }
  const Tensor product = products(x, packed, {sum.size(1)}, bias, settings.arithmetic)[0];
  sum.add_(norm(product, *after, settings.epsilon));
}

// x [T, heads * d] by heads, [T, heads, d], normed where the family norms them.
Tensor byHeads(const Tensor& x, const OptionalTensor& weight, const Settings& settings) {
  const auto split = [&](const Tensor& y) { return y.view({y.size(0), -1, settings.headSize}); };
  if (!weight.has_value()) return split(x);
  return settings.normsWhole ? split(norm(x, *weight, settings.epsilon)) : norm(split(x), *weight, settings.epsilon);
}

Tensor gatedInner(const Tensor& x, const OptionalTensor& packed, const OptionalTensor& bias, const Settings& settings) {
  const int64_t size = settings.innerSize;
  if (!bias.has_value()) {
    static const auto kernel =
        operatorOf<Tensor(const Tensor&, const Tensor&, int64_t, std::string_view, std::string_view)>(
            "selm::row_gated");
    return kernel.call(x, required(packed), size, settings.activation, settings.arithmetic);
  }
  const auto parts = products(x, packed, {size, size}, bias, settings.arithmetic);
  return settings.activation == "silu" ? composite::swiglu(parts[0], parts[1]) : composite::geglu(parts[0], parts[1]);
}

// Attention in a layer, of queries [T, H, d], keys and values [T, K, d] that are not rotated yet.
using Attention = std::function<Tensor(const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer)>;

// x [T, D] becomes the block's output; with `rows` only theirs, which past attention are all that is computed.
void runBlock(Tensor& x, const std::function<OptionalTensor(Weight)>& weight, int64_t layer, const Attention& attend,
              const Settings& settings, const OptionalTensor& rows) {
  const int64_t queries = settings.heads * settings.headSize, keys = settings.keyHeads * settings.headSize;
  const Tensor before = normedOperand(x, weight(kBeforeAttention), settings);
  const auto parts =
      products(before, weight(kQueryKeyValue), {queries, keys, keys}, weight(kQueryKeyValueBias), settings.arithmetic);
  Tensor attended =
      attend(byHeads(parts[0], weight(kQueryNorm), settings), byHeads(parts[1], weight(kKeyNorm), settings),
             byHeads(parts[2], std::nullopt, settings), layer);
  if (rows.has_value()) {
    attended = attended.index_select(0, *rows);
    x = x.index_select(0, *rows);
  }
  addProduct(x, attended.view({x.size(0), queries}), weight(kOutput), weight(kOutputBias), weight(kAfterAttention),
             settings);
  const Tensor inner =
      gatedInner(normedOperand(x, weight(kBeforeMlp), settings), weight(kGateUp), weight(kGateUpBias), settings);
  addProduct(x, inner, weight(kDown), weight(kDownBias), weight(kAfterMlp), settings);
}

void runBlocks(Tensor& x, const Weights& weights, size_t layers, const Attention& attend, const Settings& settings,
               const OptionalTensor& rows = std::nullopt) {
  TORCH_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat && weights.size() == layers * kWeights,
              "decoder_blocks: x ", x.sizes(), " and ", weights.size(), " weights do not fit ", layers, " layers");
  // Nothing here has a graph: without this, operators would ask for one through autograd's fallback, which boxes their arguments.
  const at::AutoDispatchBelowADInplaceOrView noGraph;
  for (size_t layer = 0; layer < layers; layer++) {
    const auto weight = [&](Weight which) { return weights.get(layer * kWeights + which); };
    runBlock(x, weight, static_cast<int64_t>(layer), attend, settings, layer + 1 == layers ? rows : std::nullopt);
  }
}

void checkLayers(at::TensorList keys, at::TensorList values, at::TensorList cos, at::TensorList sin) {
  TORCH_CHECK(values.size() == keys.size() && cos.size() == keys.size() && sin.size() == keys.size(),
              "decoder_blocks: ", keys.size(), " layers of keys, ", values.size(), " of values, ", cos.size(),
              " of cosines and ", sin.size(), " of sines");
}

Tensor& decodeBlocks(Tensor& x, const Weights& weights, at::TensorList keys, at::TensorList values, at::TensorList cos,
                     at::TensorList sin, const Tensor& places, at::IntArrayRef windows, int64_t heads,
                     int64_t innerSize, bool normsWhole, double epsilon, double scale, double softCap,
                     std::string_view activation, std::string_view arithmetic, const Tensor& tables,
                     const Tensor& lengths) {
  static const auto kernel = operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                               const Tensor&, double, int64_t, double)>("selm::paged_attention");
  checkLayers(keys, values, cos, sin);
  const Settings settings{heads,      keys.at(0).size(1), cos.at(0).size(1) * 2, innerSize, normsWhole, epsilon,
                          activation, arithmetic};
  const Attention attend = [&](const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer) {
    LayerPages pages{keys[layer], values[layer]};
    const Tensor placed = placeHeads(q, k, v, cos[layer], sin[layer], pages, places, at::kFloat);
    return kernel.call(placed, pages.keys, pages.values, tables, lengths, scale, windows.at(layer), softCap);
  };
  runBlocks(x, weights, keys.size(), attend, settings);
  return x;
}

Tensor prefillBlocks(Tensor x, const Weights& weights, at::TensorList keys, at::TensorList values, at::TensorList cos,
                     at::TensorList sin, const Tensor& places, at::IntArrayRef windows, int64_t heads,
                     int64_t innerSize, bool normsWhole, double epsilon, double scale, double softCap,
                     std::string_view activation, std::string_view arithmetic, const Tensor& seen,
                     at::IntArrayRef segments, at::IntArrayRef known, const Tensor& rows) {
  static const auto read =
      operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&)>("selm::read_pages");
  static const auto kernel =
      operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef, at::IntArrayRef, double, int64_t,
                        double)>("selm::tree_attention_with_known");
  checkLayers(keys, values, cos, sin);
  const Settings settings{heads,      keys.at(0).size(1), cos.at(0).size(1) * 2, innerSize, normsWhole, epsilon,
                          activation, arithmetic};
  // Keys and values are read as they were written: a token sees the same numbers whoever computed them, now or in an earlier pass.
  const Attention attend = [&](const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer) {
    LayerPages pages{keys[layer], values[layer]};
    const Tensor placed = placeHeads(q, k, v, cos[layer], sin[layer], pages, places, pages.keys.scalar_type());
    const auto [seenKeys, seenValues] = read.call(pages.keys, pages.values, seen);
    return kernel.call(placed, seenKeys, seenValues, segments, known, scale, windows.at(layer), softCap);
  };
  runBlocks(x, weights, keys.size(), attend, settings, rows);
  return x;
}

Tensor rotated(const Tensor& x, const Tensor& cos, const Tensor& sin, at::ScalarType type) {
  static const auto kernel = operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, double)>("selm::rotate");
  return kernel.call(x, cos, sin, 1.0).to(type);
}

// Attention over trees is computed in the type of the products.
Tensor treeBlocks(Tensor x, const Weights& weights, at::TensorList cos, at::TensorList sin, at::IntArrayRef windows,
                  int64_t heads, int64_t keyHeads, int64_t innerSize, bool normsWhole, double epsilon, double scale,
                  double softCap, std::string_view activation, std::string_view arithmetic, at::IntArrayRef segments,
                  const Tensor& rows) {
  static const auto kernel =
      operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef, double,
                                            int64_t, double)>("selm::tree_attention_forward");
  TORCH_CHECK(cos.size() == sin.size() && cos.size() == windows.size(), "tree_blocks: ", cos.size(),
              " layers of cosines, ", sin.size(), " of sines and ", windows.size(), " windows");
  const Settings settings{heads,      keyHeads,  cos.at(0).size(1) * 2, innerSize, normsWhole, epsilon,
                          activation, arithmetic};
  const at::ScalarType type = arithmetic == "float32" ? at::kFloat : at::kBFloat16;
  const Attention attend = [&](const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer) {
    const Tensor query = rotated(q, cos[layer], sin[layer], type), key = rotated(k, cos[layer], sin[layer], type),
                 value = v.to(type);
    return std::get<0>(kernel.call(query, key, value, segments, scale, windows.at(layer), softCap));
  };
  runBlocks(x, weights, cos.size(), attend, settings, rows);
  return x;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  library.impl("decode_blocks_", &selm::decodeBlocks);
  library.impl("prefill_blocks", &selm::prefillBlocks);
  library.impl("tree_blocks", &selm::treeBlocks);
}
