// Rounding to bf16 in one instruction, where the processor has it, in place of the ten of store (vector.h). Numbers below 1.2e-38 become
// zero by it, so it is for what such numbers do not matter to: products by tiles neither give them nor see them in a factor.
#pragma once
#include "vector.h"

namespace selm {

inline void storeNormal(float* p, Float16 v, int64_t count = kLanes) { store(p, v, count); }
inline void storeNormal(c10::BFloat16* p, Float16 v, int64_t count = kLanes) {
#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v)));
  if (count >= kLanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), rounded);
  else
    _mm256_mask_storeu_epi16(p, firstLanes(count), rounded);
#else
  store(p, v, count);
#endif
}

}  // namespace selm
