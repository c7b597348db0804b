// The schemas of our own operators, as the dispatcher and the generator of typed wrappers see them.
#include <torch/library.h>

#include "kernels.h"

TORCH_LIBRARY(selm, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps) -> Tensor", &selm::rmsNorm);
  library.def("rotary(Tensor x, Tensor cos, Tensor sin) -> Tensor", &selm::rotary);
  library.def("swiglu(Tensor gate, Tensor up) -> Tensor", &selm::swiglu);
  library.def("geglu(Tensor gate, Tensor up) -> Tensor", &selm::geglu);
  library.def("mixed_linear(Tensor x, Tensor master, Tensor compute, Tensor? bias=None) -> Tensor", &selm::linear);
  library.def("tree_attention(Tensor q, Tensor k, Tensor v, int[] segments, float scale, int window=0, float soft_cap=0.) -> Tensor",
              &selm::treeAttention);
  library.def("target_log_probs(Tensor logits, Tensor targets) -> (Tensor, Tensor)", &selm::targetLogProbs);
  library.def("log_prob_gradient_(Tensor(a!) logits, Tensor targets, Tensor normalisers, Tensor coefficients, float soft_cap=0.) -> Tensor(a!)",
              &selm::logProbGradient_);
  library.def("soft_cap_(Tensor(a!) x, float cap) -> Tensor(a!)", &selm::softCap_);
  library.def("pack_rows(Tensor weight) -> Tensor", &selm::packRows);
  library.def("row_linear(Tensor x, Tensor packed, int outputs, Tensor? bias=None) -> Tensor", &selm::rowLinear);
  library.def(
      "decode_attention(Tensor q, Tensor prefix_keys, Tensor prefix_values, Tensor keys, Tensor values, int[] layout, float scale, int window=0, float soft_cap=0.) -> Tensor",
      &selm::decodeAttention);
  library.def("sample_tokens(Tensor logits, float temperature, int top_k, float top_p, float[] uniforms) -> (Tensor, Tensor)",
              &selm::sampleTokens);
}
