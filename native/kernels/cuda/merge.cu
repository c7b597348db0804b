// Puts a part of an attention into the whole (../flash_trees.cc), a block of threads a row of the part. X: type of the outputs.
// out [T, H, d] and logSums [T, H] are of all rows so far, part [R, H, d] and partSums [H, R] of this part's.

extern "C" __global__ void merge(X* out, float* logSums, const long long* rows, const X* part, const float* partSums, int count, int heads, int width) {
  const long long row = rows[blockIdx.x];
  X* const whole = out + row * heads * width;
  const X* const added = part + static_cast<long long>(blockIdx.x) * heads * width;
  const auto sumsOf = [&](int head) {
    const float before = logSums[row * heads + head], of = partSums[static_cast<long long>(head) * count + blockIdx.x];
    const float most = fmaxf(before, of), sum = most + logf(expf(before - most) + expf(of - most));
    return float3{expf(before - sum), expf(of - sum), sum};
  };
  for (int i = threadIdx.x * 4; i < heads * width; i += blockDim.x * 4) {
    const float3 weights = sumsOf(i / width);
    auto pack = packAt<4>(whole + i);
    const auto other = packAt<4>(added + i);
    for (int j = 0; j < 4; j++) pack.at[j] = rounded<X>(wide(pack.at[j]) * weights.x + wide(other.at[j]) * weights.y);
    putPack(whole + i, pack);
  }
  __syncthreads();
  for (int head = threadIdx.x; head < heads; head += blockDim.x) logSums[row * heads + head] = sumsOf(head).z;
}
