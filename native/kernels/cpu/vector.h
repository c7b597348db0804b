// Sixteen floats at a time, by the compiler's vector extension: compiles to AVX-512, two AVX2 or four SSE registers.
#pragma once
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace selm {

typedef float Float16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t Int16 __attribute__((vector_size(64)));
typedef uint16_t Half16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t UInt16 __attribute__((vector_size(64)));

constexpr int kLanes = 16;

inline Float16 splat(float value) { return Float16{} + value; }
inline Float16 load(const float* p) { return *reinterpret_cast<const Float16*>(p); }
inline UInt16 widened(Half16 half) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  // What GCC makes of the conversion below is five instructions.
  return reinterpret_cast<UInt16>(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(half)));
#else
  return __builtin_convertvector(half, UInt16);
#endif
}
inline Float16 load(const c10::BFloat16* p) {
  return reinterpret_cast<Float16>(widened(*reinterpret_cast<const Half16*>(p)) << 16);
}
inline void store(float* p, Float16 v) { *reinterpret_cast<Float16*>(p) = v; }
inline void store(c10::BFloat16* p, Float16 v) {
  // Round to nearest even; a NaN stays one.
  const UInt16 bits = reinterpret_cast<UInt16>(v);
  const UInt16 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Int16 isNan = v != v;
  const UInt16 result = reinterpret_cast<UInt16>(isNan) & 0x7fc0;
  *reinterpret_cast<Half16*>(p) =
      __builtin_convertvector((rounded & ~reinterpret_cast<UInt16>(isNan)) | result, Half16);
}

// The last elements of a row: missing lanes are zero, and are not written. The same arithmetic as for whole vectors.
#if defined(__AVX512BW__) && defined(__AVX512VL__)
inline __mmask16 firstLanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Float16 load(const float* p, int64_t count) {
  return count >= kLanes ? load(p) : reinterpret_cast<Float16>(_mm512_maskz_loadu_ps(firstLanes(count), p));
}
inline Float16 load(const c10::BFloat16* p, int64_t count) {
  if (count >= kLanes) return load(p);
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(firstLanes(count), p));
  return reinterpret_cast<Float16>(_mm512_slli_epi32(wide, 16));
}
inline void store(float* p, Float16 v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  _mm512_mask_storeu_ps(p, firstLanes(count), reinterpret_cast<__m512>(v));
}
inline void store(c10::BFloat16* p, Float16 v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  c10::BFloat16 whole[kLanes];
  store(whole, v);
  _mm256_mask_storeu_epi16(p, firstLanes(count), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(whole)));
}
#else
template <typename T>
inline Float16 load(const T* p, int64_t count) {
  if (count >= kLanes) return load(p);
  T padded[kLanes] = {};
  std::copy(p, p + count, padded);
  return load(padded);
}
template <typename T>
inline void store(T* p, Float16 v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  T padded[kLanes];
  store(padded, v);
  std::copy(padded, padded + count, p);
}
#endif

inline Float16 maximum(Float16 a, Float16 b) { return a > b ? a : b; }

// Lanes are folded onto each other: 8 on 8, 4 on 4, 2 on 2, 1 on 1.
inline Float16 turned8(Float16 v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}
inline Float16 turned4(Float16 v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}
inline Float16 turned2(Float16 v) {
  return __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}
inline float sum(Float16 v) {
  v += turned8(v);
  v += turned4(v);
  v += turned2(v);
  return v[0] + v[1];
}
inline float largest(Float16 v) {
  v = maximum(v, turned8(v));
  v = maximum(v, turned4(v));
  v = maximum(v, turned2(v));
  return v[1] > v[0] ? v[1] : v[0];
}

// e^x with a relative error below 2e-7 for x in [-87, 88]; smaller x gives 0, NaN stays NaN.
inline Float16 exponential(Float16 x) {
#if defined(__AVX512F__)
  // The smaller of a NaN and a number is here the NaN. Nothing has to be held from below: those lanes become zeros in the end.
  const auto clamped = reinterpret_cast<Float16>(_mm512_min_ps(_mm512_set1_ps(88.0f), reinterpret_cast<__m512>(x)));
#else
  const Float16 clamped = x < -87.0f ? splat(-87.0f) : (x > 88.0f ? splat(88.0f) : x);
#endif
  const Float16 scaled = clamped * 1.44269504088896341f;
  const Float16 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Float16 n = (scaled + magic) - magic;
  const Float16 r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  Float16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
#if defined(__AVX512F__)
  const __mmask16 isSeen = _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
  return reinterpret_cast<Float16>(
      _mm512_maskz_scalef_ps(isSeen, reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(n)));
#else
  const Int16 exponent = (__builtin_convertvector(n, Int16) + 127) << 23;
  const Float16 value = p * reinterpret_cast<Float16>(exponent);
  return x < -87.0f ? splat(0.0f) : value;
#endif
}

// tanh(x) with an error of a few units in the last place: Eigen's rational approximation (ptanh_float). Beyond the bound
// the result rounds to one; NaN stays NaN.
inline Float16 hyperbolicTangent(Float16 x) {
  const Float16 bound = splat(7.90531110763549805f);
  const Float16 y = x > bound ? bound : (x < -bound ? -bound : x);
  const Float16 square = y * y;
  Float16 p = splat(-2.76076847742355e-16f);
  p = p * square + 2.00018790482477e-13f;
  p = p * square + -8.60467152213735e-11f;
  p = p * square + 5.12229709037114e-08f;
  p = p * square + 1.48572235717979e-05f;
  p = p * square + 6.37261928875436e-04f;
  p = p * square + 4.89352455891786e-03f;
  Float16 q = splat(1.19825839466702e-06f);
  q = q * square + 1.18534705686654e-04f;
  q = q * square + 2.26843463243900e-03f;
  q = q * square + 4.89352518554385e-03f;
  return y * p / q;
}

// Values held within (-cap, cap): cap * tanh(x / cap).
inline Float16 softCapped(Float16 x, float cap) { return hyperbolicTangent(x * (1.0f / cap)) * cap; }
// Its derivative, from the capped value.
inline Float16 softCapSlope(Float16 capped, float cap) {
  const Float16 t = capped * (1.0f / cap);
  return 1.0f - t * t;
}

}  // namespace selm
