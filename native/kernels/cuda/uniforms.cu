// The uniform number of each row's key at its counter (uniformAt of src/random.ts), a thread a row.

extern "C" __global__ void uniforms(const long long* keys, const long long* counters, double* numbers, int rows) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const auto word = [&](int i) { return static_cast<unsigned>(keys[4ll * row + i]); };
  unsigned words[4];
  randomWords(counters[row], uint4{word(0), word(1), word(2), word(3)}, words);
  numbers[row] = ((words[0] >> 5) * 67108864.0 + (words[1] >> 6)) / 9007199254740992.0;
}
