// AdamW on bf16 masters and moments, rounded at random (../rounded_adamw.h says how, and which random words an element has). A thread has
// the two elements of a random block. G: type of the gradient. Compiled without fused multiplication and addition: the CPU's bits.

__device__ inline bf16 roundedAtRandom(float x, unsigned bits) { return static_cast<bf16>((__float_as_uint(x) + bits) >> 16); }

extern "C" __global__ void rounded_adamw(bf16* master, const G* gradient, bf16* first, bf16* second, long long count, long long firstElement,
                                         uint4 key, float decay, float firstRate, float secondKept, float secondRate, float stepSize, float scale,
                                         float epsilon) {
  const long long block = firstElement / 2 + static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block * 2 >= firstElement + count) return;
  unsigned words[4];
  randomWords(block, key, words);
  for (int half = 0; half < 2; half++) {
    const long long i = block * 2 + half - firstElement;
    if (i < 0 || i >= count) continue;
    const float g = wide(gradient[i]), oldFirst = wide(first[i]);
    const float newFirst = oldFirst + (g - oldFirst) * firstRate;
    const float newSecond = wide(second[i]) * secondKept + g * g * secondRate;
    const float updated = wide(master[i]) * decay - newFirst * stepSize / (sqrtf(newSecond) * scale + epsilon);
    const unsigned even = words[2 * half], odd = words[2 * half + 1];
    master[i] = roundedAtRandom(updated, even & 0xffff);
    first[i] = roundedAtRandom(newFirst, even >> 16);
    second[i] = roundedAtRandom(newSecond, odd & 0xffff);
  }
}
