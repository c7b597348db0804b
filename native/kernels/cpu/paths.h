// Which instructions of this processor products in bf16 may use; asked once, when the first product is made.
#pragma once
#include <c10/util/Exception.h>

#include <string>

namespace selm {

// amx: tiles of 16 x 32. avx512_bf16: sixteen sums of pairs at a time. vector: operands widened, multiplied in fp32 by
// whatever vectors the compiler was allowed (AVX-512, AVX2, NEON).
enum class Bf16Path { amx, avx512Bf16, vector };

bool canRun(Bf16Path path);

inline Bf16Path fastestBf16Path() {
  static const Bf16Path fastest = canRun(Bf16Path::amx)          ? Bf16Path::amx
                                  : canRun(Bf16Path::avx512Bf16) ? Bf16Path::avx512Bf16
                                                                 : Bf16Path::vector;
  return fastest;
}

// Reads `fastest` or the name of a path; refuses one that this processor does not have.
inline Bf16Path bf16PathOf(std::string_view name) {
  if (name == "fastest") return fastestBf16Path();
  const Bf16Path path = name == "amx" ? Bf16Path::amx : name == "avx512_bf16" ? Bf16Path::avx512Bf16 : Bf16Path::vector;
  TORCH_CHECK(path != Bf16Path::vector || name == "vector", "row_linear: path ", name,
              " is not one of fastest, amx, avx512_bf16, vector");
  TORCH_CHECK(canRun(path), "row_linear: this processor does not have ", name);
  return path;
}

}  // namespace selm
