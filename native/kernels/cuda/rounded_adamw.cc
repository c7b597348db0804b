#include "../rounded_adamw.h"

#include <torch/library.h>

#include "../philox.h"
#include "compiler.h"
#include "cuda_sources.h"
#include "launches.h"

namespace selm::cuda {
namespace {

void roundedAdamW_(at::Tensor& master, const at::Tensor& gradient_, at::Tensor& first, at::Tensor& second, int64_t step,
                   double learningRate, double beta1, double beta2, double weightDecay, double epsilon,
                   at::IntArrayRef key, int64_t firstElement) {
  checkRoundedAdamW(master, gradient_, first, second, step, firstElement);
  const RoundedAdamW with(step, learningRate, beta1, beta2, weightDecay, epsilon);
  const at::Tensor gradient = gradient_.contiguous();
  const int64_t count = master.numel(), pairs = count / 2 + 1;
  const Program program(sources::rounded_adamw, {definition("G", gradient.scalar_type()), "--fmad=false"}, master);
  program.run("rounded_adamw", {blocksFor(pairs, kThreads), kThreads}, master.data_ptr(), gradient.data_ptr(),
              first.data_ptr(), second.data_ptr(), static_cast<long long>(count), static_cast<long long>(firstElement),
              readPhiloxKey(key), with.decay, with.firstRate, with.secondKept, with.secondRate, with.stepSize,
              with.scale, with.epsilon);
}

}  // namespace
}  // namespace selm::cuda

TORCH_LIBRARY_IMPL(selm, CUDA, library) { library.impl("rounded_adamw_", &selm::cuda::roundedAdamW_); }
