// What our own operators are called and take: schemas alone. Who computes them is said elsewhere, by dispatch key, so that a
// backend is added as a folder of files (TORCH_LIBRARY_IMPL(selm, CUDA, library) ...) and nothing here or in another file changes:
//
//   cpu/*.cc         CPU           the kernels, for fp32 and bf16
//   cuda/*.cc        CUDA          kernels for NVIDIA cards, in CUDA C++ (cuda/*.cu), for fp32 and bf16
//   autograd.cc      Autograd      gradients, by the `..._backward` operators of the same backend
//   composite*.cc    Composite...  the same mathematics said in LibTorch's operators: devices and types without a kernel
//   flash_trees.cc   Composite...  attention over trees by LibTorch's flash attention, where that takes the tensors
#include <torch/library.h>

TORCH_LIBRARY(selm, library) {
  // y = x * weight / sqrt(mean(x^2) + eps) over the last dimension, in fp32 inside. inverse [rows] is 1 / sqrt(...).
  library.def("rms_norm(Tensor x, Tensor weight, float eps) -> Tensor");
  library.def("rms_norm_forward(Tensor x, Tensor weight, float eps) -> (Tensor y, Tensor inverse)");
  library.def("rms_norm_backward(Tensor gradient, Tensor x, Tensor weight, Tensor inverse) -> (Tensor, Tensor)");

  // Rotary position embedding on [T, H, d] with cos and sin [T, d/2]; halves are rotated against each other. direction is
  // 1, or -1 to rotate back.
  library.def("rotary(Tensor x, Tensor cos, Tensor sin) -> Tensor");
  library.def("rotate(Tensor x, Tensor cos, Tensor sin, float direction) -> Tensor");

  // silu(gate) * up, and gelu(gate) * up with gelu in its tanh form. activation is `silu` or `gelu_tanh`.
  library.def("swiglu(Tensor gate, Tensor up) -> Tensor");
  library.def("geglu(Tensor gate, Tensor up) -> Tensor");
  library.def("gated(Tensor gate, Tensor up, str activation) -> Tensor");
  library.def("gated_backward(Tensor gradient, Tensor gate, Tensor up, str activation) -> (Tensor, Tensor)");

  // x [T, I] times master [O, I] transposed. `compute` holds the same weights in x's type (the master itself in fp32): the
  // product uses it. The gradient goes to the master in the master's type: added to the one that it has, or as a new one.
  library.def("mixed_linear(Tensor x, Tensor master, Tensor compute, Tensor? bias=None) -> Tensor");
  // x times several such weights, [T, O_i] each, whose masters have a gradient already or none: x is packed once for the gradients of all
  // of them, and what they give to the gradient of x is added up before it is rounded.
  library.def("mixed_linears(Tensor x, Tensor[] masters, Tensor[] computes) -> Tensor[]");
  // a [M, K] times b [K, N], plus a bias [N], in their type; and the same added to sum [M, N]. No graph. Factors may be any views.
  library.def("matrix_product(Tensor a, Tensor b, Tensor? bias=None) -> Tensor");
  library.def("add_product_(Tensor(a!) sum, Tensor a, Tensor b) -> Tensor(a!)");
  // Several at once: sums[i] += a[i] b, and the sum of all a[i] b[i].
  library.def("add_products_(Tensor(a!)[] sums, Tensor[] a, Tensor b) -> ()");
  library.def("sum_of_products(Tensor[] a, Tensor[] b) -> Tensor");

  // Attention over a packed stream of tokens q [T, H, d], k and v [T, K, d]. `segments` lists (start, length, parent) of
  // every segment; a token attends to all of its segment's ancestors and, causally, to its own segment. parent is the
  // index of an earlier segment, or -1. Segments cover the stream. With a window, a token sees only the last `window`
  // tokens on the path from its root to itself, itself included; with a soft cap c, scores s become c tanh(s / c). 0 is
  // none. log_sums [T, H] are the log-sum-exps of the scores; empty where the backend's backward pass needs none.
  library.def(
      "tree_attention(Tensor q, Tensor k, Tensor v, int[] segments, float scale, int window=0, float soft_cap=0.) -> "
      "Tensor");
  library.def(
      "tree_attention_forward(Tensor q, Tensor k, Tensor v, int[] segments, float scale, int window, float soft_cap) "
      "-> (Tensor out, Tensor log_sums)");
  library.def(
      "tree_attention_backward(Tensor gradient, Tensor q, Tensor k, Tensor v, Tensor out, Tensor log_sums, int[] "
      "segments, float scale, int window, float soft_cap) -> (Tensor, Tensor, Tensor)");

  // What tree_attention is made of where flash attention computes it in parts: puts a part's out [R, H, d] and log-sum-exps [H, R] into those of
  // the whole, [T, H, d] and [T, H], at different rows [R].
  library.def(
      "merge_attention_(Tensor(a!) out, Tensor(b!) log_sums, Tensor rows, Tensor part_out, Tensor part_sums) -> ()");

  // The same without a graph, where the keys of some roots are known already and nothing is asked for them: k and v [T, K, d] are of
  // all tokens, q of all but those of the segments `known`. A token's numbers are the same whether its root is known or not, and
  // whether it follows a root or lies in one segment with it, as long as the root's length is a multiple of 32.
  library.def(
      "tree_attention_with_known(Tensor q, Tensor k, Tensor v, int[] segments, int[] known, float scale, int window=0, "
      "float soft_cap=0.) -> Tensor");

  // (log softmax(logits [T, V])[t, targets[t]], log-sum-exp of each row), both [T] in fp32.
  library.def("target_log_probs(Tensor logits, Tensor targets) -> (Tensor, Tensor)");
  // Writes the gradient of sum_t coefficients[t] * logProb[t] by the logits over the logits. Of logits that went through
  // soft_cap_ with `soft_cap`, the gradient is that by what they were before.
  library.def(
      "log_prob_gradient_(Tensor(a!) logits, Tensor targets, Tensor normalisers, Tensor coefficients, float "
      "soft_cap=0.) -> Tensor(a!)");
  // x becomes cap * tanh(x / cap), in place, without a gradient.
  library.def("soft_cap_(Tensor(a!) x, float cap) -> Tensor(a!)");

  // One AdamW update in place of bf16 masters and moments, computed in fp32 and rounded at random so that each is right in expectation
  // (rounded_adamw.h). step counts from 1. key: four words below 2^32 (RandomKey of src/random.ts), one for this update of this parameter, of
  // which the tensors hold the elements from first_element on.
  library.def(
      "rounded_adamw_(Tensor(a!) master, Tensor gradient, Tensor(b!) first_moment, Tensor(c!) second_moment, int step, "
      "float learning_rate, "
      "float beta1, float beta2, float weight_decay, float epsilon, int[] key, int first_element=0) -> ()");

  // The squares of all numbers of these tensors, added up: one number in fp64, with the same bits whatever the number of threads.
  library.def("sum_of_squares(Tensor[] tensors) -> Tensor");

  // total[ids[t]] += alpha * rows[t], [T, D] in fp32 or bf16. The rows of one id are added up in fp32 in their order, so that the bits are
  // the same each time on any device.
  library.def("add_rows_(Tensor(a!) total, int[] ids, Tensor rows, float alpha=1.) -> Tensor(a!)");

  // Weights [O, I] laid out for row_linear, in panels of 32 outputs, zero-padded: [ceil(O / 32), I, 32] and more inputs where
  // a kernel wants them; those of several matrices one after the other. The order within a panel is the backend's own
  // (cpu/panels.h has the picture); or the weights are laid out in another type that multiplies faster (cpu/digit_panels.h), unless the layout
  // is `numbers`.
  library.def("pack_rows(Tensor[] weights, str layout=\"fastest\") -> Tensor");
  // Whether the processor that x lies on multiplies bf16 by tiles (AMX): then row_linear is the fastest way to multiply with
  // weights that bf16 holds, also in float32.
  library.def("has_tiles(Tensor x) -> bool");
  // x [T, I] times packed weights, plus a bias [O]: [T, O]. A row's result does not depend on the other rows or on their
  // number. arithmetic `float32`; or `fastest`, which rounds x to bf16, multiplies in bf16 and adds up in fp32; or one of
  // the ways to do that (cpu/paths.h).
  library.def(
      "row_linear(Tensor x, Tensor packed, int outputs, Tensor? bias=None, str arithmetic=\"float32\") -> Tensor");
  // The same with several weights at once, their panels one after the other and their biases too: one [T, outputs[i]] each.
  library.def(
      "row_linears(Tensor x, Tensor packed, int[] outputs, Tensor? bias=None, str arithmetic=\"float32\") -> Tensor[]");
  // activation(x gate) * (x up), `packed` being the gate's panels and then those of up; activation `silu` or `gelu_tanh`.
  // In the type in which the next product reads it: bf16 unless arithmetic is float32.
  library.def("row_gated(Tensor x, Tensor packed, int outputs, str activation, str arithmetic=\"float32\") -> Tensor");

  // An encoder's weights [O, I] laid out for packed_linear, and the scales that go with them: the backend's own layout, or the weights as they
  // are. packed_linear gives activation(x W^T + bias), [T, O] in x's type, the weights' own; activation `none` or `gelu`.
  library.def("pack_linear(Tensor weight) -> (Tensor packed, Tensor scales)");
  library.def("packed_linear(Tensor x, Tensor packed, Tensor scales, Tensor bias, str activation=\"none\") -> Tensor");
  // Attention of queries [Q, H, d] to the keys and values [T, H, d] of their sequence, all at positions that ascend, with rows of relative keys
  // and queries [R, H, d] (DeBERTa's): softmax((q.k + q.Kr[r] + k.Qr[r]) / sqrt(terms d)) v, [Q, H d]. rows are those of the distances -m to
  // m between a query and a key; sequences lists how many queries and keys each has; arithmetic is `fastest` or, for tests, the name of a path
  // (cpu/paths.h).
  library.def(
      "disentangled_attention(Tensor q, Tensor k, Tensor v, Tensor? relative_keys, Tensor? relative_queries, int[] "
      "rows, int[] query_positions, int[] key_positions, int[] sequences, str arithmetic=\"fastest\") -> Tensor");

  // Keys [pages, K, d, 16] and values [pages, K, 16, d] of sequences, in pages of 16 tokens (cpu/pages.h has the
  // picture). write_pages puts k and v [T, K, d] at places [T], page * 16 + token of the page.
  library.def("write_pages(Tensor(a!) keys, Tensor(b!) values, Tensor k, Tensor v, Tensor places) -> ()");
  // What lies at places [T]: k and v [T, K, d] in the type of the pages.
  library.def("read_pages(Tensor keys, Tensor values, Tensor places) -> (Tensor, Tensor)");
  // One new token of each of B sequences, q [B, H, d], against its pages: tables [B, M] list those of its prompt, then its own;
  // lengths [B, 2] are the tokens of both. Window (the last `window` tokens) and soft cap as in tree_attention.
  library.def(
      "paged_attention(Tensor q, Tensor keys, Tensor values, Tensor tables, Tensor lengths, float scale, int window=0, "
      "float soft_cap=0.) -> Tensor");

  // Sampling's steps between products, where a backend has them; decoder_blocks.cc says what they are made of. rms_norm_operand is a
  // norm in the type in which the next product reads it. place_heads rotates q [T, H, d] and k [T, K, d], puts k and v into pages, and
  // returns q in `dtype`. add_row_linear_ adds x times packed weights, and a bias, to sum.
  library.def("rms_norm_operand(Tensor x, Tensor weight, float eps, str arithmetic) -> Tensor");
  library.def(
      "place_heads(Tensor q, Tensor k, Tensor v, Tensor cos, Tensor sin, Tensor(a!) keys, Tensor(b!) values, Tensor "
      "places, ScalarType dtype) -> Tensor");
  library.def("add_row_linear_(Tensor(a!) sum, Tensor x, Tensor packed, Tensor? bias, str arithmetic) -> Tensor(a!)");

  // All blocks of a decoder on the embeddings x [T, D] of new tokens, in decode in place. weights: 14 of each block (decoder_blocks.cc has their
  // order). keys, values, cos, sin [T, d/2], windows: one a layer. Tokens go to `places` of the pages, and see: in decode, what
  // tables and lengths say (paged_attention); in prefill, their tree of the tokens at places `seen` (tree_attention_with_known). A prefill
  // overwrites x, and returns the rows [S] of the last block's output, [S, D].
  library.def(
      "decode_blocks_(Tensor(a!) x, Tensor?[] weights, Tensor[] keys, Tensor[] values, Tensor[] cos, Tensor[] sin, "
      "Tensor places, int[] windows, "
      "int heads, int inner_size, bool norms_whole, float eps, float scale, float soft_cap, str activation, str "
      "arithmetic, Tensor tables, "
      "Tensor lengths) -> Tensor(a!)");
  library.def(
      "prefill_blocks(Tensor x, Tensor?[] weights, Tensor[] keys, Tensor[] values, Tensor[] cos, Tensor[] sin, "
      "Tensor places, int[] windows, "
      "int heads, int inner_size, bool norms_whole, float eps, float scale, float soft_cap, str activation, str "
      "arithmetic, Tensor seen, "
      "int[] segments, int[] known, Tensor rows) -> Tensor");

  // The same of tokens x [T, D] on a stream of trees, for scoring: returns the rows [S] of the last block's output, [S, D], and
  // overwrites x. segments as in tree_attention.
  library.def(
      "tree_blocks(Tensor x, Tensor?[] weights, Tensor[] cos, Tensor[] sin, int[] windows, int heads, int key_heads, "
      "int inner_size, bool norms_whole, "
      "float eps, float scale, float soft_cap, str activation, str arithmetic, int[] segments, Tensor rows) -> Tensor");

  // The uniform number of each of B keys at its counter, [B] in fp64: uniformAt of src/random.ts. keys [B, 4] are the words of RandomKeys,
  // counters [B] count from 0, both int64.
  library.def("uniforms(Tensor keys, Tensor counters) -> Tensor");
  // One token of each row of logits [B, V], by a uniform number [B] in fp64: ids and their log-probabilities under the unchanged
  // distribution. Of logits that are not finite, a device may give a token whose log-probability is no number.
  library.def(
      "sample_tokens(Tensor logits, float temperature, int top_k, float top_p, Tensor uniforms) -> (Tensor, Tensor)");
}
