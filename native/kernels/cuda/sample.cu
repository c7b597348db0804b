// One token of each row of logits, a block of 32 warps a row. A warp has a stretch of the row; X: type of the logits.

constexpr int kWarps = 32;

struct Largest {
  float value;
  int place;
};
// The larger one; of equal ones the first.
__device__ inline Largest larger(Largest a, Largest b) { return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a; }

__device__ inline double sumOfWarp(double x) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
  return x;
}

// scale: 1 / temperature; 0 takes the largest. The token is the first whose weights, with those before it, pass the share `uniform` of all.
// logProbs are of the unchanged distribution; no number where logits are none.
extern "C" __global__ void __launch_bounds__(kWarps * 32)
    sample(const X* logits, const double* uniforms, long long* ids, double* logProbs, int width, float scale) {
  __shared__ Largest largestOf[kWarps];
  __shared__ double totals[kWarps], weights[kWarps];
  const X* const row = logits + static_cast<long long>(blockIdx.x) * width;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int stretch = (width + kWarps * 32 - 1) / (kWarps * 32) * 32;
  const int begin = min(width, warp * stretch), end = min(width, begin + stretch);

  Largest own{-INFINITY, width};
  for (int i = begin + lane; i < end; i += 32) own = larger(own, {wide(row[i]), i});
  for (int distance = 16; distance > 0; distance /= 2)
    own = larger(own, {__shfl_xor_sync(kAllLanes, own.value, distance), __shfl_xor_sync(kAllLanes, own.place, distance)});
  if (lane == 0) largestOf[warp] = own;
  __syncthreads();
  for (int w = 0; w < kWarps; w++) own = larger(own, largestOf[w]);

  double total = 0, weight = 0;
  for (int i = begin + lane; i < end; i += 32) {
    const float below = wide(row[i]) - own.value;
    total += expf(below);
    weight += expf(below * scale);
  }
  total = sumOfWarp(total);
  weight = sumOfWarp(weight);
  if (lane == 0) {
    totals[warp] = total;
    weights[warp] = weight;
  }
  __syncthreads();
  double all = 0, allWeights = 0;
  int last = 0;  // warp that has a stretch
  for (int w = 0; w < kWarps; w++) {
    all += totals[w];
    allWeights += weights[w];
    if (w * stretch < width) last = w;
  }
  const auto put = [&](int id) {
    ids[blockIdx.x] = id;
    logProbs[blockIdx.x] = static_cast<double>(wide(row[id]) - own.value) - log(all);
  };
  if (scale == 0) {
    if (threadIdx.x == 0) put(min(own.place, width - 1));
    return;
  }
  const double target = uniforms[blockIdx.x] * allWeights;
  double before = 0;
  int chosen = 0;
  while (chosen < last && !(before + weights[chosen] > target)) before += weights[chosen++];
  if (warp != chosen) return;
  for (int first = begin; first < end; first += 32) {
    const int i = first + lane;
    double sum = i < end ? static_cast<double>(expf((wide(row[i]) - own.value) * scale)) : 0;
    for (int distance = 1; distance < 32; distance *= 2) {
      const double left = __shfl_up_sync(kAllLanes, sum, distance);
      if (lane >= distance) sum += left;
    }
    const unsigned past = __ballot_sync(kAllLanes, i < end && before + sum > target);
    if (past != 0) {
      if (lane == 0) put(first + __ffs(past) - 1);
      return;
    }
    before += __shfl_sync(kAllLanes, sum, 31);
  }
  if (lane == 0) put(end - 1);
}
