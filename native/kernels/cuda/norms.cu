// Norms of rows, a block of threads a row. X: type of what is normed; Y: of the result.

extern "C" __global__ void rms_norm(const X* x, const float* weight, Y* y, float* inverse, int width, float epsilon) {
  const long long first = static_cast<long long>(blockIdx.x) * width;
  float squares = 0;
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    const auto pack = packAt<4>(x + first + i);
    for (int j = 0; j < 4; j++) squares += wide(pack.at[j]) * wide(pack.at[j]);
  }
  const float scale = rsqrtf(sumOfBlock(squares) / width + epsilon);
  if (threadIdx.x == 0 && inverse != nullptr) inverse[blockIdx.x] = scale;
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    const auto pack = packAt<4>(x + first + i);
    const auto factors = packAt<4>(weight + i);
    Pack<Y, 4> result;
    for (int j = 0; j < 4; j++) result.at[j] = rounded<Y>(wide(pack.at[j]) * scale * factors.at[j]);
    putPack(y + first + i, result);
  }
}

// A block goes through rows blockIdx.x, + gridDim.x, ...: what they add to the weight's gradient stays with it, and goes to its row of
// `parts` [blocks, width].
extern "C" __global__ void rms_norm_backward(const X* gradient, const X* x, const float* weight, const float* inverse, X* dx, float* parts, int rows,
                                             int width) {
  extern __shared__ float own[];
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4)
    for (int j = 0; j < 4; j++) own[i + j] = 0;
  for (int row = blockIdx.x; row < rows; row += gridDim.x) {
    const long long first = static_cast<long long>(row) * width;
    const float scale = inverse[row];
    float products = 0;
    for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
      const auto dy = packAt<4>(gradient + first + i);
      const auto value = packAt<4>(x + first + i);
      const auto factors = packAt<4>(weight + i);
      for (int j = 0; j < 4; j++) products += wide(dy.at[j]) * factors.at[j] * wide(value.at[j]) * scale;
    }
    const float mean = sumOfBlock(products) / width;
    for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
      const auto dy = packAt<4>(gradient + first + i);
      const auto value = packAt<4>(x + first + i);
      const auto factors = packAt<4>(weight + i);
      Pack<X, 4> result;
      for (int j = 0; j < 4; j++) {
        const float normed = wide(value.at[j]) * scale;
        result.at[j] = rounded<X>(scale * (wide(dy.at[j]) * factors.at[j] - normed * mean));
        own[i + j] += wide(dy.at[j]) * normed;
      }
      putPack(dx + first + i, result);
    }
  }
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4)
    for (int j = 0; j < 4; j++) parts[static_cast<long long>(blockIdx.x) * width + i + j] = own[i + j];
}
