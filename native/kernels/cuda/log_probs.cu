// From logits to log-probabilities and back, a block of threads a row. X: type of the logits; AT_ONCE: how many of them are read at once.

struct Sum {
  float most, total;  // of exp(logit - most)
};
__device__ inline Sum joined(Sum a, Sum b) {
  const float most = fmaxf(a.most, b.most);
  if (most == -INFINITY) return {most, 0};
  return {most, a.total * expf(a.most - most) + b.total * expf(b.most - most)};
}

extern "C" __global__ void target_log_probs(const X* logits, const long long* targets, float* logProbs, float* normalisers, int width) {
  const X* const row = logits + static_cast<long long>(blockIdx.x) * width;
  Sum own{-INFINITY, 0};
  for (int i = threadIdx.x * AT_ONCE; i < width; i += blockDim.x * AT_ONCE) {
    const auto pack = packAt<AT_ONCE>(row + i);
    float most = own.most;
    for (int j = 0; j < AT_ONCE; j++) most = fmaxf(most, wide(pack.at[j]));
    if (most == -INFINITY) continue;
    float total = own.total * expf(own.most - most);
    for (int j = 0; j < AT_ONCE; j++) total += expf(wide(pack.at[j]) - most);
    own = {most, total};
  }
  __shared__ Sum ofWarps[32];
  for (int distance = 16; distance > 0; distance /= 2)
    own = joined(own, {__shfl_xor_sync(kAllLanes, own.most, distance), __shfl_xor_sync(kAllLanes, own.total, distance)});
  if (threadIdx.x % 32 == 0) ofWarps[threadIdx.x / 32] = own;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < blockDim.x / 32; warp++) own = joined(own, ofWarps[warp]);
  const float normaliser = own.most + logf(own.total);
  normalisers[blockIdx.x] = normaliser;
  logProbs[blockIdx.x] = wide(row[targets[blockIdx.x]]) - normaliser;
}

// cap 0 is none. A block has a stretch of one row, the grid's x is the row.
extern "C" __global__ void log_prob_gradient(X* logits, const long long* targets, const float* normalisers, const float* coefficients, int width,
                                             float cap) {
  X* const row = logits + static_cast<long long>(blockIdx.x) * width;
  const int i = (blockIdx.y * blockDim.x + threadIdx.x) * AT_ONCE;
  if (i >= width) return;
  const float normaliser = normalisers[blockIdx.x], coefficient = coefficients[blockIdx.x];
  const long long target = targets[blockIdx.x];
  auto pack = packAt<AT_ONCE>(row + i);
  for (int j = 0; j < AT_ONCE; j++) {
    const float logit = wide(pack.at[j]);
    float gradient = coefficient * ((i + j == target ? 1.0f : 0.0f) - expf(logit - normaliser));
    if (cap > 0) gradient *= 1 - (logit / cap) * (logit / cap);
    pack.at[j] = rounded<X>(gradient);
  }
  putPack(row + i, pack);
}
