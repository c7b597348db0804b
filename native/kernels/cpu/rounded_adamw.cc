// AdamW on bf16 masters and moments, in one pass over memory (../rounded_adamw.h says how values are rounded).
#include "../backends.h"
#include "../rounded_adamw.h"

#include <torch/library.h>

#include "../philox.h"
#include "team.h"
#include "vector.h"

namespace selm {
namespace {

constexpr int kBlocks = 16;                // random blocks at a time
constexpr int kElements = 2 * kBlocks;     // and the elements that they are for
constexpr int64_t kElementsOfTask = 8192;  // a multiple of kElements

uint16_t rounded(float value, uint32_t random) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + random) >> 16);
}

float widened(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

float widened(float value) { return value; }

// kElements of a parameter, beginning with an even one.
template <typename Gradient>
void updateElements(const RoundedAdamW& with, const PhiloxKey& key, int64_t element, uint16_t* master,
                    const Gradient* gradient, uint16_t* first, uint16_t* second) {
  uint32_t words[4][kBlocks];
  philoxBlocks<kBlocks>(static_cast<uint64_t>(element) / 2, key, words);
  uint32_t masterAndFirst[kElements], forSecond[kElements];
  for (int i = 0; i < kBlocks; i++) {
    masterAndFirst[2 * i] = words[0][i];
    masterAndFirst[2 * i + 1] = words[2][i];
    forSecond[2 * i] = words[1][i];
    forSecond[2 * i + 1] = words[3][i];
  }
  for (int i = 0; i < kElements; i++) {
    const float g = widened(gradient[i]), oldFirst = widened(first[i]);
    const float newFirst = oldFirst + (g - oldFirst) * with.firstRate;
    const float newSecond = widened(second[i]) * with.secondKept + g * g * with.secondRate;
    const float updated =
        widened(master[i]) * with.decay - newFirst * with.stepSize / (std::sqrt(newSecond) * with.scale + with.epsilon);
    master[i] = rounded(updated, masterAndFirst[i] & 0xffff);
    first[i] = rounded(newFirst, masterAndFirst[i] >> 16);
    second[i] = rounded(newSecond, forSecond[i] & 0xffff);
  }
}

// Elements begin .. end - 1, of which the first may be an odd one and the last need not fill a group.
template <typename Gradient>
void updateRange(const RoundedAdamW& with, const PhiloxKey& key, int64_t firstElement, int64_t begin, int64_t end,
                 uint16_t* master, const Gradient* gradient, uint16_t* first, uint16_t* second) {
  for (int64_t at = begin; at < end;) {
    const int64_t skipped = (firstElement + at) % 2, count = std::min<int64_t>(kElements - skipped, end - at),
                  element = firstElement + at - skipped;
    if (count == kElements) {
      updateElements(with, key, element, master + at, gradient + at, first + at, second + at);
    } else {
      uint16_t masters[kElements] = {}, firsts[kElements] = {}, seconds[kElements] = {};
      Gradient gradients[kElements] = {};
      std::copy_n(master + at, count, masters + skipped);
      std::copy_n(gradient + at, count, gradients + skipped);
      std::copy_n(first + at, count, firsts + skipped);
      std::copy_n(second + at, count, seconds + skipped);
      updateElements(with, key, element, masters, gradients, firsts, seconds);
      std::copy_n(masters + skipped, count, master + at);
      std::copy_n(firsts + skipped, count, first + at);
      std::copy_n(seconds + skipped, count, second + at);
    }
    at += count;
  }
}

uint16_t* bitsOf(const at::Tensor& x) { return reinterpret_cast<uint16_t*>(x.data_ptr<c10::BFloat16>()); }

void roundedAdamW_(at::Tensor& master, const at::Tensor& gradient_, at::Tensor& first, at::Tensor& second, int64_t step,
                   double learningRate, double beta1, double beta2, double weightDecay, double epsilon,
                   at::IntArrayRef key, int64_t firstElement) {
  checkRoundedAdamW(master, gradient_, first, second, step, firstElement);
  const RoundedAdamW with(step, learningRate, beta1, beta2, weightDecay, epsilon);
  const PhiloxKey randomKey = readPhiloxKey(key);
  const at::Tensor gradient = gradient_.contiguous();
  const auto update = [&](const auto* gradients) {
    const int64_t tasks = (master.numel() + kElementsOfTask - 1) / kElementsOfTask;
    shareRanges(tasks, 1, [&](int64_t begin, int64_t end) {
      updateRange(with, randomKey, firstElement, begin * kElementsOfTask,
                  std::min(end * kElementsOfTask, master.numel()), bitsOf(master), gradients, bitsOf(first),
                  bitsOf(second));
    });
  };
  if (gradient.scalar_type() == at::kFloat)
    update(gradient.data_ptr<float>());
  else
    update(bitsOf(gradient));
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (selm::hasCpuKernels()) library.impl("rounded_adamw_", &selm::roundedAdamW_);
}
