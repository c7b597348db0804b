// AdamW on bf16 masters and moments. An update of 5e-7 is far below half a unit in the last place of bf16: rounded to the nearest, nothing
// would ever change. Here each new value is rounded up or down at random, up with the probability that makes it right in expectation
// (stochastic rounding; Gupta et al. 2015, https://arxiv.org/abs/1502.02551): the lower 16 bits of its fp32 are the probability in units of
// 2^-16, so 16 random bits are added to them, and what remains of them is cut off.
//
// Element e of a parameter has half of the random block e / 2 of its key: two words, of which three halves are used.
//
//   block e / 2:   word 0           word 1           word 2           word 3
//                  [first | master] [ -    | second] [first | master] [ -    | second]
//                  `-------- e even --------------'  `-------- e odd ----------------'
#pragma once
#include <ATen/ATen.h>

#include <cmath>

namespace selm {

struct RoundedAdamW {
  float decay, firstRate, secondKept, secondRate, stepSize, scale, epsilon;

  // step: of this update, from 1.
  RoundedAdamW(int64_t step, double learningRate, double beta1, double beta2, double weightDecay, double epsilon_)
      : decay(static_cast<float>(1 - learningRate * weightDecay)),
        firstRate(static_cast<float>(1 - beta1)),
        secondKept(static_cast<float>(beta2)),
        secondRate(static_cast<float>(1 - beta2)),
        stepSize(static_cast<float>(learningRate / (1 - std::pow(beta1, static_cast<double>(step))))),
        scale(static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, static_cast<double>(step))))),
        epsilon(static_cast<float>(epsilon_)) {}
};

inline void checkRoundedAdamW(const at::Tensor& master, const at::Tensor& gradient, const at::Tensor& first,
                              const at::Tensor& second, int64_t step, int64_t firstElement) {
  for (const at::Tensor* each : {&master, &first, &second})
    TORCH_CHECK(each->scalar_type() == at::kBFloat16 && each->is_contiguous() && each->sizes() == master.sizes(),
                "rounded_adamw_: master and moments must be bf16 of one shape and contiguous, got ",
                each->scalar_type(), " ", each->sizes(), " beside ", master.sizes());
  TORCH_CHECK(gradient.sizes() == master.sizes() &&
                  (gradient.scalar_type() == at::kFloat || gradient.scalar_type() == at::kBFloat16),
              "rounded_adamw_: the gradient must be fp32 or bf16 of shape ", master.sizes(), ", got ",
              gradient.scalar_type(), " ", gradient.sizes());
  TORCH_CHECK(step >= 1 && firstElement >= 0, "rounded_adamw_: steps count from 1 and elements from 0, got ", step,
              " and ", firstElement);
}

namespace composite {

void roundedAdamW_(at::Tensor& master, const at::Tensor& gradient, at::Tensor& first, at::Tensor& second, int64_t step,
                   double learningRate, double beta1, double beta2, double weightDecay, double epsilon,
                   at::IntArrayRef key, int64_t firstElement);

}  // namespace composite
}  // namespace selm
