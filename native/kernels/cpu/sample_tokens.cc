// The choice of a token from a row of logits. Rows do not know of each other, and every sum runs in a fixed order.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../philox.h"
#include "operands.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

constexpr int64_t kBlock = 1024;  // weights that are summed in fp32; sums of blocks are added in fp64

// e^((logit - top) / temperature) of a row, up to a multiple of a vector (zeros past the end), and the sum of each block.
struct Weights {
  std::vector<float> values;
  std::vector<double> blocks;
  double total = 0;

  void fill(const float* logits, int64_t width, float top, double temperature) {
    values.resize((width + kLanes - 1) / kLanes * kLanes);
    blocks.clear();
    total = 0;
    const auto inverse = static_cast<float>(1 / temperature);
    for (int64_t begin = 0; begin < width; begin += kBlock) {
      const int64_t end = std::min(width, begin + kBlock);
      Float16 sums = splat(0);
      for (int64_t i = begin; i < end; i += kLanes) {
        Float16 weight = exponential((load(logits + i, width - i) - top) * inverse);
        for (int64_t lane = width - i; lane < kLanes; lane++) weight[lane] = 0;
        store(values.data() + i, weight);
        sums += weight;
      }
      blocks.push_back(sum(sums));
      total += blocks.back();
    }
  }
};

// A token in proportion to the weights.
int64_t drawAny(const Weights& weights, int64_t width, double uniform) {
  double left = uniform * weights.total;
  size_t block = 0;
  while (block + 1 < weights.blocks.size() && left >= weights.blocks[block]) left -= weights.blocks[block++];
  const int64_t begin = static_cast<int64_t>(block) * kBlock, end = std::min(width, begin + kBlock);
  int64_t last = begin;
  for (int64_t i = begin; i < end; i++) {
    if (weights.values[i] == 0) continue;
    left -= weights.values[i];
    last = i;
    if (left < 0) break;
  }
  return last;  // rounding may leave a rest at the very end of a block: its last token takes it
}

struct Candidate {
  float weight;
  int64_t id;
};

// The largest weights, largest first and among equals the smaller id: at least as many as top-k, or the nucleus, needs.
// Weights lie between 0 and 1, where the upper bits of a float are in the order of its value: they number 2,033 classes, and
// only what lies in the classes that are needed is sorted.
//
//   float  0 eeeeeeee mmmm|mmmmmmmmmmmmmmmmmmm      class = bits >> 19
std::vector<Candidate> likeliestFirst(const Weights& weights, int64_t width, int64_t topK, double topP) {
  constexpr int kShift = 19;
  constexpr int kClasses = (0x3f800000 >> kShift) + 2;
  const auto classOf = [](float weight) {
    uint32_t bits;
    std::memcpy(&bits, &weight, sizeof bits);
    return std::min<int>(static_cast<int>(bits >> kShift), kClasses - 1);
  };
  std::array<int64_t, kClasses> counts{};
  std::array<double, kClasses> masses{};
  for (int64_t i = 0; i < width; i++) {
    const int at = classOf(weights.values[i]);
    counts[at]++;
    masses[at] += weights.values[i];
  }
  int lowest = kClasses;
  int64_t count = 0;
  double mass = 0;
  // A hair more than the nucleus, because it is added up in another order below.
  const double wanted = topP * weights.total * (1 + 1e-9);
  while (lowest > 0 && (topK > 0 ? count < topK : mass < wanted)) {
    lowest--;
    count += counts[lowest];
    mass += masses[lowest];
  }
  std::vector<Candidate> found;
  found.reserve(count);
  for (int64_t i = 0; i < width; i++) {
    if (classOf(weights.values[i]) >= lowest) found.push_back({weights.values[i], i});
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
  });
  return found;
}

// A token of the top k and of the nucleus: the fewest of the largest weights that reach a share topP, the one that crosses it
// included. Of both filters the nucleus is a share of what top-k leaves.
int64_t drawFiltered(const Weights& weights, int64_t width, int64_t topK, double topP, double uniform) {
  std::vector<Candidate> kept = likeliestFirst(weights, width, topK, topP);
  double mass = weights.total;
  if (topK > 0) {
    kept.resize(std::min<size_t>(kept.size(), static_cast<size_t>(topK)));
    mass = 0;
    for (const Candidate& each : kept) mass += each.weight;
  }
  double covered = 0;
  size_t count = 0;
  while (count < kept.size() && (count == 0 || topP >= 1 || covered < topP * mass)) covered += kept[count++].weight;
  double left = uniform * covered;
  for (size_t i = 0; i + 1 < count; i++) {
    left -= kept[i].weight;
    if (left < 0) return kept[i].id;
  }
  return kept[count - 1].id;
}

struct Settings {
  double temperature;
  int64_t topK;
  double topP;
};

// The first of the largest logits.
int64_t likeliest(const float* logits, int64_t width) {
  Float16 best = splat(-INFINITY);
  for (int64_t i = 0; i < width; i += kLanes) {
    Float16 value = load(logits + i, width - i);
    for (int64_t lane = width - i; lane < kLanes; lane++) value[lane] = -INFINITY;
    best = maximum(value, best);
  }
  const float top = largest(best);
  for (int64_t i = 0; i < width; i++) {
    if (logits[i] == top) return i;
  }
  return 0;  // nothing but NaN
}

int64_t sampleRow(const float* logits, int64_t width, const Settings& settings, double uniform, Weights& weights,
                  double* logProb) {
  const int64_t best = likeliest(logits, width);
  const float top = logits[best];
  weights.fill(logits, width, top, 1);
  const double total = weights.total;
  TORCH_CHECK(std::isfinite(top) && std::isfinite(total), "sample_tokens: the logits of a row are not finite");
  int64_t chosen = best;
  if (settings.temperature > 0) {
    if (settings.temperature != 1) weights.fill(logits, width, top, settings.temperature);
    chosen = settings.topK <= 0 && settings.topP >= 1
                 ? drawAny(weights, width, uniform)
                 : drawFiltered(weights, width, settings.topK, settings.topP, uniform);
  }
  *logProb = static_cast<double>(logits[chosen]) - top - std::log(total);
  return chosen;
}

std::tuple<at::Tensor, at::Tensor> sampleTokens(const at::Tensor& logits_, double temperature, int64_t topK,
                                                double topP, const at::Tensor& uniforms_) {
  checkSampling(logits_, temperature, topP, uniforms_.numel());
  TORCH_CHECK(uniforms_.scalar_type() == at::kDouble, "sample_tokens: uniform numbers are fp64, got ",
              uniforms_.scalar_type());
  const at::Tensor contiguous = uniforms_.contiguous();
  const double* uniforms = contiguous.data_ptr<double>();
  const at::Tensor logits = contiguousFloats(logits_);
  at::Tensor ids = at::empty({logits.size(0)}, logits.options().dtype(at::kLong));
  at::Tensor logProbs = at::empty({logits.size(0)}, logits.options().dtype(at::kDouble));
  const float* data = logits.data_ptr<float>();
  int64_t* idData = ids.data_ptr<int64_t>();
  double* logProbData = logProbs.data_ptr<double>();
  const int64_t width = logits.size(1);
  shareRanges(logits.size(0), std::max<int64_t>(1, 32768 / width), [&](int64_t begin, int64_t end) {
    Weights weights;
    for (int64_t row = begin; row < end; row++) {
      idData[row] =
          sampleRow(data + row * width, width, {temperature, topK, topP}, uniforms[row], weights, logProbData + row);
    }
  });
  return {ids, logProbs};
}

at::Tensor uniforms(const at::Tensor& keys_, const at::Tensor& counters_) {
  checkUniforms(keys_, counters_);
  const at::Tensor keys = keys_.contiguous(), counters = counters_.contiguous();
  at::Tensor numbers = at::empty({keys.size(0)}, keys.options().dtype(at::kDouble));
  const int64_t *word = keys.data_ptr<int64_t>(), *counter = counters.data_ptr<int64_t>();
  double* number = numbers.data_ptr<double>();
  for (int64_t row = 0; row < keys.size(0); row++) {
    uint32_t words[4][1];
    philoxBlocks(static_cast<uint64_t>(counter[row]), readPhiloxKey({word + row * 4, 4}), words);
    number[row] = uniformOf(words[0][0], words[1][0]);
  }
  return numbers;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("uniforms", &selm::uniforms);
  library.impl("sample_tokens", &selm::sampleTokens);
}
