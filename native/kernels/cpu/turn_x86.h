// Squares of 16 x 16 numbers, turned in registers. For files that are compiled for AVX-512 whatever machine compiles.
#pragma once
#if defined(__x86_64__)
#include <immintrin.h>

namespace selm {

#define SELM_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define SELM_AVX512_INLINE SELM_AVX512 inline __attribute__((always_inline))

// 16 x 16 numbers of 32 bits, turned: first 2 x 2 and 4 x 4 within quarters, then the quarters.
SELM_AVX512_INLINE void turn(__m512i (&square)[16]) {
  __m512i pairs[16], fours[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(square[i], square[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(square[i], square[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int c = 0; c < 4; c++) {
    const __m512i evenUpper = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88),
                  evenLower = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const __m512i oddUpper = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd),
                  oddLower = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
    square[c] = _mm512_shuffle_i32x4(evenUpper, evenLower, 0x88);
    square[4 + c] = _mm512_shuffle_i32x4(oddUpper, oddLower, 0x88);
    square[8 + c] = _mm512_shuffle_i32x4(evenUpper, evenLower, 0xdd);
    square[12 + c] = _mm512_shuffle_i32x4(oddUpper, oddLower, 0xdd);
  }
}

}  // namespace selm
#endif
