// activation(gate) * up. X: type of gate, up and their gradients; Y: of the result; GELU: gelu in its tanh form, else silu.

__device__ inline float activated(float x) {
#if GELU
  const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1 + tanhf(inner));
#else
  return x / (1 + expf(-x));
#endif
}

__device__ inline float slope(float x) {
#if GELU
  const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x), t = tanhf(inner);
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608028654f * (1 + 3 * 0.044715f * x * x);
#else
  const float s = 1 / (1 + expf(-x));
  return s * (1 + x * (1 - s));
#endif
}

// Rows of gate and up lie `stride` apart. A block has a stretch of one row: rows are the grid's x, which alone may be longer than 65,535.
extern "C" __global__ void gated(const X* gate, const X* up, Y* result, int width, long long stride) {
  const long long row = blockIdx.x;
  const int i = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (i >= width) return;
  const auto gates = packAt<4>(gate + row * stride + i);
  const auto ups = packAt<4>(up + row * stride + i);
  Pack<Y, 4> pack;
  for (int j = 0; j < 4; j++) pack.at[j] = rounded<Y>(activated(wide(gates.at[j])) * wide(ups.at[j]));
  putPack(result + row * width + i, pack);
}

extern "C" __global__ void gated_backward(const X* gradient, const X* gate, const X* up, X* dgate, X* dup, long long count) {
  const long long i = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
  if (i >= count) return;
  const auto dy = packAt<4>(gradient + i);
  const auto gates = packAt<4>(gate + i);
  const auto ups = packAt<4>(up + i);
  Pack<X, 4> ofGate, ofUp;
  for (int j = 0; j < 4; j++) {
    const float g = wide(gates.at[j]), d = wide(dy.at[j]);
    ofGate.at[j] = rounded<X>(d * wide(ups.at[j]) * slope(g));
    ofUp.at[j] = rounded<X>(d * activated(g));
  }
  putPack(dgate + i, ofGate);
  putPack(dup + i, ofUp);
}
