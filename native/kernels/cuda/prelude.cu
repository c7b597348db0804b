// What every kernel of this folder begins with. No header of CUDA is there where users run (compiler.h), so bf16 is what it is in memory.
using bf16 = unsigned short;

#define INFINITY __int_as_float(0x7f800000)

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(bf16 x) { return __uint_as_float(static_cast<unsigned>(x) << 16); }

template <typename T>
__device__ inline T rounded(float x);
template <>
__device__ inline float rounded<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 rounded<bf16>(float x) {
  bf16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}

// N numbers that lie together: one access to memory.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};
template <int N, typename T>
__device__ inline Pack<T, N> packAt(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, typename T>
__device__ inline void putPack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

constexpr unsigned kAllLanes = 0xffffffff;

__device__ inline float sumOfWarp(float x) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
  return x;
}

// The sum over the threads of a block, at every one of them.
__device__ inline float sumOfBlock(float x) {
  __shared__ float ofWarps[32];
  x = sumOfWarp(x);
  if (threadIdx.x % 32 == 0) ofWarps[threadIdx.x / 32] = x;
  __syncthreads();
  const float all = sumOfWarp(threadIdx.x % 32 < blockDim.x / 32 ? ofWarps[threadIdx.x % 32] : 0);
  __syncthreads();
  return all;
}

// A block of random words (../philox.h).
__device__ inline void randomWords(unsigned long long block, uint4 key, unsigned (&words)[4]) {
  words[0] = static_cast<unsigned>(block);
  words[1] = static_cast<unsigned>(block >> 32);
  words[2] = key.z;
  words[3] = key.w;
  unsigned key0 = key.x, key1 = key.y;
  for (int round = 0; round < 10; round++) {
    const unsigned long long product0 = 0xd2511f53ull * words[0], product1 = 0xcd9e8d57ull * words[2];
    words[0] = static_cast<unsigned>(product1 >> 32) ^ words[1] ^ key0;
    words[1] = static_cast<unsigned>(product1);
    words[2] = static_cast<unsigned>(product0 >> 32) ^ words[3] ^ key1;
    words[3] = static_cast<unsigned>(product0);
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
}
