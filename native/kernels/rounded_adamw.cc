#include "rounded_adamw.h"

#include <torch/library.h>

#include "philox.h"

namespace selm::composite {
namespace {

constexpr int64_t kAtOnce = 1 << 22;  // elements whose random numbers are in memory together

// fp32 to bf16 with 16 random bits.
at::Tensor rounded(const at::Tensor& wide, const at::Tensor& random) {
  const at::Tensor bits = wide.contiguous().view(at::kInt) + random.to(at::kInt);
  return bits.bitwise_and(~0xffff).view(at::kFloat).to(at::kBFloat16);
}

// Words of the halves of blocks that belong to elements first .. first + count - 1.
std::array<at::Tensor, 2> wordsOf(int64_t first, int64_t count, const PhiloxKey& key,
                                  const at::TensorOptions& options) {
  const int64_t block = first / 2, blocks = (first + count + 1) / 2 - block;
  const at::Tensor counter = at::arange(block, block + blocks, options);
  const auto word = [&](uint32_t value) { return at::full({1}, static_cast<int64_t>(value), options); };
  const auto words = philoxBlocks(
      {counter.bitwise_and(0xffffffffLL), counter.bitwise_right_shift(32), word(key.stream0), word(key.stream1)},
      {word(key.key0), word(key.key1)});
  const auto ofElements = [&](const at::Tensor& even, const at::Tensor& odd) {
    return at::stack({even, odd}, 1).flatten().narrow(0, first - 2 * block, count);
  };
  return {ofElements(words[0], words[2]), ofElements(words[1], words[3])};
}

}  // namespace

void roundedAdamW_(at::Tensor& master, const at::Tensor& gradient, at::Tensor& first, at::Tensor& second, int64_t step,
                   double learningRate, double beta1, double beta2, double weightDecay, double epsilon,
                   at::IntArrayRef key, int64_t firstElement) {
  checkRoundedAdamW(master, gradient, first, second, step, firstElement);
  const RoundedAdamW with(step, learningRate, beta1, beta2, weightDecay, epsilon);
  const PhiloxKey randomKey = readPhiloxKey(key);
  const at::Tensor masters = master.view({-1}), gradients = gradient.reshape({-1}), firsts = first.view({-1}),
                   seconds = second.view({-1});
  for (int64_t begin = 0; begin < masters.size(0); begin += kAtOnce) {
    const int64_t count = std::min(kAtOnce, masters.size(0) - begin);
    const auto wide = [&](const at::Tensor& all) { return all.narrow(0, begin, count).to(at::kFloat); };
    const at::Tensor g = wide(gradients), oldFirst = wide(firsts);
    const at::Tensor newFirst = oldFirst + (g - oldFirst) * with.firstRate;
    const at::Tensor newSecond = wide(seconds) * with.secondKept + g * g * with.secondRate;
    const at::Tensor updated =
        wide(masters) * with.decay - newFirst * with.stepSize / (newSecond.sqrt() * with.scale + with.epsilon);
    const auto words = wordsOf(firstElement + begin, count, randomKey, masters.options().dtype(at::kLong));
    const auto put = [&](const at::Tensor& all, const at::Tensor& value, const at::Tensor& random) {
      all.narrow(0, begin, count).copy_(rounded(value, random));
    };
    put(masters, updated, words[0].bitwise_and(0xffff));
    put(firsts, newFirst, words[0].bitwise_right_shift(16));
    put(seconds, newSecond, words[1].bitwise_and(0xffff));
  }
}

}  // namespace selm::composite

TORCH_LIBRARY_IMPL(selm, CompositeExplicitAutograd, library) {
  library.impl("rounded_adamw_", &selm::composite::roundedAdamW_);
}
