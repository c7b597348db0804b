// Log-probabilities of given tokens from logits, and the gradient written over the logits: so that the caller can work
// through the vocabulary product in chunks of rows, and [T, vocabulary] never exists whole.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "rounding.h"
#include "team.h"

namespace selm {
namespace {

// Exponentials of one row leave time to bring numbers of the next one from memory.
template <typename T>
void fetchBelow(const T* number, int64_t width) {
  __builtin_prefetch(number + width, 1, 2);
}

// Of a whole number of vectors. Four maxima side by side: one would wait for itself.
template <typename T>
float largestOf(const T* numbers, int64_t count) {
  constexpr int kBeside = 4;
  Float16 best[kBeside];
  // A loop: std::fill drops Float16's alignment of 4, and stores as if 64 were promised.
  for (int n = 0; n < kBeside; n++) best[n] = splat(-INFINITY);
  int64_t i = 0;
  for (; i + kBeside * kLanes <= count; i += kBeside * kLanes) {
    for (int n = 0; n < kBeside; n++) best[n] = maximum(best[n], load(numbers + i + n * kLanes));
  }
  for (; i < count; i += kLanes) best[0] = maximum(best[0], load(numbers + i));
  return largest(maximum(maximum(best[0], best[1]), maximum(best[2], best[3])));
}

template <typename T>
void rowLogProbs(const T* logits, const int64_t* targets, float* logProbs, float* normalisers, int64_t rows,
                 int64_t width) {
  shareRanges(rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T* in = logits + row * width;
      const int64_t whole = width / kLanes * kLanes;
      float top = largestOf(in, whole);
      for (int64_t i = whole; i < width; i++) top = std::max(top, static_cast<float>(in[i]));
      Float16 sums = splat(0);
      for (int64_t i = 0; i < whole; i += kLanes) {
        fetchBelow(in + i, width);
        sums += exponential(load(in + i) - top);
      }
      double total = 0;
      for (int lane = 0; lane < kLanes; lane++) total += sums[lane];
      for (int64_t i = whole; i < width; i++) total += std::exp(static_cast<float>(in[i]) - top);
      normalisers[row] = static_cast<float>(static_cast<double>(top) + std::log(total));
      logProbs[row] =
          static_cast<float>(static_cast<double>(static_cast<float>(in[targets[row]])) - top - std::log(total));
    }
  });
}

// d(sum_t c_t logProb_t) / d logits = c_t (onehot - softmax), in place; of capped logits, times the slope of the cap.
template <bool Capped, typename T>
void rowGradients(T* logits, const int64_t* targets, const float* normalisers, const float* coefficients, int64_t rows,
                  int64_t width, float cap) {
  const auto slope = [cap](float capped) { return Capped ? 1.0f - capped / cap * (capped / cap) : 1.0f; };
  shareRanges(rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      T* out = logits + row * width;
      const float shift = normalisers[row], factor = -coefficients[row];
      const int64_t whole = width / kLanes * kLanes;
      const float logit = out[targets[row]];
      const float target = coefficients[row] * (1.0f - std::exp(logit - shift)) * slope(logit);
      for (int64_t i = 0; i < whole; i += kLanes) {
        fetchBelow(out + i, width);
        const Float16 value = load(out + i);
        const Float16 gradient = exponential(value - shift) * factor;
        storeNormal(out + i, Capped ? gradient * softCapSlope(value, cap) : gradient);
      }
      for (int64_t i = whole; i < width; i++) {
        const float value = out[i];
        out[i] = static_cast<T>(std::exp(value - shift) * factor * slope(value));
      }
      out[targets[row]] = static_cast<T>(target);
    }
  });
}

void checkRange(const at::Tensor& targets, int64_t width, const char* what) {
  const int64_t* ids = targets.data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.size(0); i++) {
    TORCH_CHECK(ids[i] >= 0 && ids[i] < width, what, ": target ", ids[i], " is outside the vocabulary of ", width);
  }
}

// The kernels take fp32 and bf16.
bool hasKernel(const at::Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

std::tuple<at::Tensor, at::Tensor> targetLogProbs(const at::Tensor& logits_, const at::Tensor& targets_) {
  checkTargets(logits_, targets_, "target_log_probs");
  if (!hasKernel(logits_)) return composite::targetLogProbs(logits_, targets_);
  const at::Tensor logits = logits_.contiguous(), targets = targets_.contiguous();
  checkRange(targets, logits.size(1), "target_log_probs");
  at::Tensor logProbs = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat)),
             normalisers = at::empty_like(logProbs);
  if (logits.scalar_type() == at::kFloat) {
    rowLogProbs(logits.data_ptr<float>(), targets.data_ptr<int64_t>(), logProbs.data_ptr<float>(),
                normalisers.data_ptr<float>(), logits.size(0), logits.size(1));
  } else {
    rowLogProbs(logits.data_ptr<c10::BFloat16>(), targets.data_ptr<int64_t>(), logProbs.data_ptr<float>(),
                normalisers.data_ptr<float>(), logits.size(0), logits.size(1));
  }
  return {logProbs, normalisers};
}

at::Tensor& logProbGradient_(at::Tensor& logits, const at::Tensor& targets_, const at::Tensor& normalisers,
                             const at::Tensor& coefficients, double softCap) {
  checkTargets(logits, targets_, "log_prob_gradient_");
  checkCoefficients(targets_, normalisers, coefficients);
  if (!hasKernel(logits)) return composite::logProbGradient_(logits, targets_, normalisers, coefficients, softCap);
  TORCH_CHECK(logits.is_contiguous(), "log_prob_gradient_: logits must be contiguous, they are overwritten");
  const at::Tensor targets = targets_.contiguous();
  checkRange(targets, logits.size(1), "log_prob_gradient_");
  const at::Tensor shifts = normalisers.contiguous(), factors = coefficients.contiguous();
  const auto write = [&](auto* data) {
    const auto rows = softCap > 0 ? rowGradients<true, std::remove_pointer_t<decltype(data)>>
                                  : rowGradients<false, std::remove_pointer_t<decltype(data)>>;
    rows(data, targets.data_ptr<int64_t>(), shifts.data_ptr<float>(), factors.data_ptr<float>(), logits.size(0),
         logits.size(1), static_cast<float>(softCap));
  };
  if (logits.scalar_type() == at::kFloat) {
    write(logits.data_ptr<float>());
  } else {
    write(logits.data_ptr<c10::BFloat16>());
  }
  return logits;
}

at::Tensor& softCap_(at::Tensor& x, double cap) {
  checkCap(cap);
  if (!hasKernel(x)) return composite::softCap_(x, cap);
  TORCH_CHECK(x.is_contiguous(), "soft_cap_: x must be contiguous, it is overwritten");
  const auto write = [&](auto* data) {
    const int64_t count = x.numel();
    shareRanges((count + kLanes - 1) / kLanes, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * kLanes; i < std::min(count, end * kLanes); i += kLanes) {
        store(data + i, softCapped(load(data + i, count - i), static_cast<float>(cap)), count - i);
      }
    });
  };
  if (x.scalar_type() == at::kFloat) {
    write(x.data_ptr<float>());
  } else {
    write(x.data_ptr<c10::BFloat16>());
  }
  return x;
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("target_log_probs", &selm::targetLogProbs);
  library.impl("log_prob_gradient_", &selm::logProbGradient_);
  library.impl("soft_cap_", &selm::softCap_);
}
