// Attention over a tree by products of tiles (AMX), in bf16.
#pragma once
#include <ATen/ATen.h>

#include <array>
#include <vector>

#include "paths.h"
#include "tree_blocks.h"

namespace selm {

// One tree and one key/value head of bf16 q [T, H, d], k and v [T, K, d]; writes its part of out and of log_sums, where they are defined. Products are
// of bf16 numbers with sums in fp32; weights are rounded to bf16 before they meet the values.
void forwardByTiles(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<Segment>& segments,
                    const Tree& tree, int64_t group, const Rule& rule, at::Tensor& out, at::Tensor& logSums);

// The gradients, of q, k, v, out and log_sums; writes its part of dq, dk and dv.
void backwardByTiles(const std::array<at::Tensor, 5>& saved, const at::Tensor& gradient,
                     const std::vector<Segment>& segments, const Tree& tree, int64_t group, const Rule& rule,
                     at::Tensor& dq, at::Tensor& dk, at::Tensor& dv);

}  // namespace selm
