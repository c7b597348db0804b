// Random numbers from counters: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
// https://doi.org/10.1145/2063384.2063405), the same words as src/random.ts. A number depends on what it is for and on nothing that was
// drawn before.
#pragma once
#include <ATen/ATen.h>

#include <array>
#include <cstdint>

namespace selm {

constexpr uint32_t kPhiloxMultiplier0 = 0xd2511f53, kPhiloxMultiplier1 = 0xcd9e8d57;
constexpr uint32_t kPhiloxWeyl0 = 0x9e3779b9, kPhiloxWeyl1 = 0xbb67ae85;
constexpr int kPhiloxRounds = 10;

// Two words that key the generator, and two that are the upper half of its counter: RandomKey of src/random.ts.
struct PhiloxKey {
  uint32_t key0, key1, stream0, stream1;
};

inline PhiloxKey readPhiloxKey(at::IntArrayRef words) {
  TORCH_CHECK(words.size() == 4, "a random key has four words, got ", words.size());
  for (const int64_t word : words)
    TORCH_CHECK(word >= 0 && word <= 0xffffffffLL, "a word of a random key is below 2^32, got ", word);
  const auto at = [&](size_t index) { return static_cast<uint32_t>(words[index]); };
  return {at(0), at(1), at(2), at(3)};
}

// Blocks `first` .. first + N - 1 of a key, four words each; written so that a compiler computes them side by side.
template <int N>
inline void philoxBlocks(uint64_t first, const PhiloxKey& key, uint32_t (&words)[4][N]) {
  for (int i = 0; i < N; i++) {
    words[0][i] = static_cast<uint32_t>(first + i);
    words[1][i] = static_cast<uint32_t>((first + i) >> 32);
    words[2][i] = key.stream0;
    words[3][i] = key.stream1;
  }
  uint32_t key0 = key.key0, key1 = key.key1;
  for (int round = 0; round < kPhiloxRounds; round++) {
    for (int i = 0; i < N; i++) {
      const uint64_t product0 = static_cast<uint64_t>(kPhiloxMultiplier0) * words[0][i];
      const uint64_t product1 = static_cast<uint64_t>(kPhiloxMultiplier1) * words[2][i];
      words[0][i] = static_cast<uint32_t>(product1 >> 32) ^ words[1][i] ^ key0;
      words[1][i] = static_cast<uint32_t>(product1);
      words[2][i] = static_cast<uint32_t>(product0 >> 32) ^ words[3][i] ^ key1;
      words[3][i] = static_cast<uint32_t>(product0);
    }
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
}

// Of the first two words of a block: 27 bits of one above 26 of the other, in [0, 1).
inline double uniformOf(uint32_t high, uint32_t low) {
  return (static_cast<double>(high >> 5) * 0x4000000 + static_cast<double>(low >> 6)) / 0x20000000000000;
}

inline void checkUniforms(const at::Tensor& keys, const at::Tensor& counters) {
  TORCH_CHECK(keys.dim() == 2 && keys.size(1) == 4 && counters.dim() == 1 && counters.size(0) == keys.size(0) &&
                  keys.scalar_type() == at::kLong && counters.scalar_type() == at::kLong,
              "uniforms: keys ", keys.sizes(), " and counters ", counters.sizes(), " must be int64 [B, 4] and [B]");
}

namespace composite {

// The same by LibTorch's operators, wherever the counters lie. counter: words of the counter, key: two words, each int64 and of shapes that
// broadcast. No product leaves int64.
inline std::array<at::Tensor, 4> philoxBlocks(std::array<at::Tensor, 4> counter, std::array<at::Tensor, 2> key) {
  constexpr int64_t kWord = 0xffffffffLL, kHalf = 0xffff;
  struct Product {
    at::Tensor high, low;
  };
  const auto multiply = [](const at::Tensor& word, int64_t multiplier) {
    const at::Tensor below = word.bitwise_and(kHalf) * multiplier, above = word.bitwise_right_shift(16) * multiplier;
    return Product{(above + below.bitwise_right_shift(16)).bitwise_right_shift(16),
                   (above.bitwise_and(kHalf).bitwise_left_shift(16) + below).bitwise_and(kWord)};
  };
  auto [c0, c1, c2, c3] = counter;
  auto [k0, k1] = key;
  for (int round = 0; round < kPhiloxRounds; round++) {
    const Product a = multiply(c0, kPhiloxMultiplier0), b = multiply(c2, kPhiloxMultiplier1);
    c0 = b.high.bitwise_xor(c1).bitwise_xor(k0);
    c1 = b.low;
    c2 = a.high.bitwise_xor(c3).bitwise_xor(k1);
    c3 = a.low;
    k0 = (k0 + static_cast<int64_t>(kPhiloxWeyl0)).bitwise_and(kWord);
    k1 = (k1 + static_cast<int64_t>(kPhiloxWeyl1)).bitwise_and(kWord);
  }
  return {c0, c1, c2, c3};
}

}  // namespace composite
}  // namespace selm
