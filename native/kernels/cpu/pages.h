// Keys and values of sampling, in pages of 16 tokens.
//
// A page holds 16 tokens of one sequence in one layer. Every key/value head has a block of its own, its keys turned so that
// a vector is one number of 16 tokens (scores of 16 tokens grow side by side), its values as they are (a vector is 16
// numbers of one token):
//
//   keys [page][head]     t0   t1  ...  t15        values [page][head]    d0   d1  ...
//                   d0  | ..   ..       .. |                        t0  | ..   ..     |
//                   d1  | ..   ..       .. |                        t1  | ..   ..     |
//                   ... |                  |                        ... |             |
//
// A sequence is a list of pages: those of its prompt, which other samples of the prompt list too, then its own.
//
//   table      p7  p3  p9 | p1  p4          lengths (37, 20): the last page of the prompt holds 5 tokens, the last
//              prompt     | own             page of its own 4
#pragma once
#include <ATen/core/Tensor.h>

#include "../checks.h"
#include "vector.h"

namespace selm {

static_assert(kPageTokens == kLanes);

// Calls body(T*) with the type of the pages' numbers.
template <typename Body>
void forCacheTypes(const at::Tensor& keys, Body body) {
  if (keys.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    TORCH_CHECK(keys.scalar_type() == at::kBFloat16, "pages are fp32 or bf16, got ", keys.scalar_type());
    body(static_cast<c10::BFloat16*>(nullptr));
  }
}

}  // namespace selm
