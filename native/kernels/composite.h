// The same operators said in LibTorch's own: what devices and types without a kernel compute, and what tests compare kernels
// with. Gradients follow from LibTorch's.
#pragma once
#include <ATen/ATen.h>

namespace selm::composite {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor treeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::IntArrayRef segments,
                         double scale, int64_t window, double softCap);
// The output, and the log-sum-exps [T, H] where the backward pass needs them: by flash attention where that takes the
// tensors (flash_trees.cc), else composed.
std::tuple<at::Tensor, at::Tensor> treeAttentionForward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                        at::IntArrayRef segments, double scale, int64_t window,
                                                        double softCap);
std::tuple<at::Tensor, at::Tensor, at::Tensor> treeAttentionBackward(const at::Tensor& gradient, const at::Tensor& q,
                                                                     const at::Tensor& k, const at::Tensor& v,
                                                                     const at::Tensor& out, const at::Tensor& logSums,
                                                                     at::IntArrayRef segments, double scale,
                                                                     int64_t window, double softCap);
std::tuple<at::Tensor, at::Tensor> rmsNormForward(const at::Tensor& x, const at::Tensor& weight, double eps);
std::tuple<at::Tensor, at::Tensor> rmsNormBackward(const at::Tensor& gradient, const at::Tensor& x,
                                                   const at::Tensor& weight, const at::Tensor& inverse);
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, double direction);
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, std::string_view activation);
std::tuple<at::Tensor, at::Tensor> gatedBackward(const at::Tensor& gradient, const at::Tensor& gate,
                                                 const at::Tensor& up, std::string_view activation);
void mergeAttention_(at::Tensor& out, at::Tensor& logSums, const at::Tensor& rows, const at::Tensor& partOut,
                     const at::Tensor& partSums);
at::Tensor treeAttentionWithKnown(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  at::IntArrayRef segments, at::IntArrayRef known, double scale, int64_t window,
                                  double softCap);
std::tuple<at::Tensor, at::Tensor> targetLogProbs(const at::Tensor& logits, const at::Tensor& targets);
at::Tensor& logProbGradient_(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& normalisers,
                             const at::Tensor& coefficients, double softCap);
at::Tensor& softCap_(at::Tensor& x, double cap);
at::Tensor sumOfSquares(at::TensorList tensors);
at::Tensor& addProduct_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);
at::Tensor packRows(at::TensorList weights);
at::Tensor rowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs,
                     const std::optional<at::Tensor>& bias, std::string_view arithmetic);
std::vector<at::Tensor> rowLinears(const at::Tensor& x, const at::Tensor& packed, at::IntArrayRef outputs,
                                   const std::optional<at::Tensor>& bias, std::string_view arithmetic);
at::Tensor rowGated(const at::Tensor& x, const at::Tensor& packed, int64_t outputs, std::string_view activation,
                    std::string_view arithmetic);
at::Tensor pagedAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                          const at::Tensor& tables, const at::Tensor& lengths, double scale, int64_t window,
                          double softCap);
at::Tensor placeHeads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& cos,
                      const at::Tensor& sin, at::Tensor& keys, at::Tensor& values, const at::Tensor& places,
                      at::ScalarType type);
std::tuple<at::Tensor, at::Tensor> sampleTokens(const at::Tensor& logits, double temperature, int64_t topK, double topP,
                                                const at::Tensor& uniforms);
void writePages(at::Tensor& keys, at::Tensor& values, const at::Tensor& k, const at::Tensor& v,
                const at::Tensor& places);
std::tuple<at::Tensor, at::Tensor> readPages(const at::Tensor& keys, const at::Tensor& values,
                                             const at::Tensor& places);

std::tuple<at::Tensor, at::Tensor> packLinear(const at::Tensor& weight);
at::Tensor packedLinear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& scales, const at::Tensor& bias,
                        std::string_view activation);
at::Tensor disentangledAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const std::optional<at::Tensor>& relativeKeys,
                                 const std::optional<at::Tensor>& relativeQueries, at::IntArrayRef rows,
                                 at::IntArrayRef queryPositions, at::IntArrayRef keyPositions,
                                 at::IntArrayRef sequences, std::string_view arithmetic);

}  // namespace selm::composite
