// Heads [T, H, d], rotated: number i of a head turns with number i + d / 2. Tokens lie `stride` apart, the heads of one together.
// X: type of what is read; Y: of what is written.

struct Turned {
  float low, high;
};
__device__ inline Turned turned(const X* head, int i, int half, float c, float s) {
  const float a = wide(head[i]), b = wide(head[i + half]);
  return {a * c - b * s, b * c + a * s};
}

// direction -1 turns back.
extern "C" __global__ void rotate(const X* x, const float* cosines, const float* sines, Y* y, int heads, int half, long long stride, float direction) {
  const long long token = blockIdx.x;
  for (int index = threadIdx.x; index < heads * half; index += blockDim.x) {
    const int head = index / half, i = index % half;
    const Turned result = turned(x + token * stride + head * 2 * half, i, half, cosines[token * half + i], sines[token * half + i] * direction);
    Y* const to = y + (token * heads + head) * 2 * half;
    to[i] = rounded<Y>(result.low);
    to[i + half] = rounded<Y>(result.high);
  }
}

// Queries are rotated to `out`; keys, rotated, and values go to their pages (cpu/pages.h has the picture). P: type of the pages.
extern "C" __global__ void place_heads(const X* q, const X* k, const X* v, const float* cosines, const float* sines, P* keys, P* values,
                                       const long long* places, Y* out, int heads, int keyHeads, int half, long long strideQ, long long strideK,
                                       long long strideV) {
  const long long token = blockIdx.x, page = places[token] / 16, place = places[token] % 16;
  const int width = 2 * half;
  for (int index = threadIdx.x; index < heads * half; index += blockDim.x) {
    const int head = index / half, i = index % half;
    const Turned result = turned(q + token * strideQ + head * width, i, half, cosines[token * half + i], sines[token * half + i]);
    Y* const to = out + (token * heads + head) * width;
    to[i] = rounded<Y>(result.low);
    to[i + half] = rounded<Y>(result.high);
  }
  for (int index = threadIdx.x; index < keyHeads * half; index += blockDim.x) {
    const int head = index / half, i = index % half;
    const Turned result = turned(k + token * strideK + head * width, i, half, cosines[token * half + i], sines[token * half + i]);
    P* const to = keys + (page * keyHeads + head) * width * 16 + place;
    to[i * 16] = rounded<P>(result.low);
    to[(i + half) * 16] = rounded<P>(result.high);
  }
  for (int index = threadIdx.x; index < keyHeads * width; index += blockDim.x) {
    const int head = index / width, i = index % width;
    values[((page * keyHeads + head) * 16 + place) * width + i] = rounded<P>(wide(v[token * strideV + index]));
  }
}
