/**
 * @file Every family's decoder the plain way, for tests: whole sequences on a padded batch, one graph over LibTorch's own
 * operators, masks over all pairs of tokens. Written from the models' papers and transformers, apart from src/model/.
 *
 * Shapes: B sequences padded to L tokens, D hidden size, d head size.
 */
import type { ModelConfig } from '../../src/model/config.ts';
import { longAfter, rotaryTables } from '../../src/model/rope.ts';
import {
  add_Scalar,
  add_Tensor,
  cat,
  gelu,
  index_select,
  linear,
  masked_fill_Scalar,
  matmul,
  mul_Scalar,
  mul_Tensor,
  repeat_interleave_self_int,
  reshape,
  rms_norm,
  silu,
  slice_Tensor,
  softmax_int,
  sub_Tensor,
  tanh,
  transpose_int,
  view,
} from '../../src/torch/ops.ts';
import { int64, type Tensor, tensorFrom } from '../../src/torch/tensor.ts';

const part = (x: Tensor, dim: number, start: number, length: number): Tensor =>
  slice_Tensor(x, { dim, start, end: start + length });

const capped = (x: Tensor, cap: number): Tensor => (cap > 0 ? mul_Scalar(tanh(mul_Scalar(x, 1 / cap)), cap) : x);

/** Logits [B, L, V] of sequences of token ids; what stands after a sequence's end means nothing. */
export function plainLogits(
  config: ModelConfig,
  weights: ReadonlyMap<string, Tensor>,
  sequences: readonly (readonly number[])[],
): Tensor {
  const { heads, keyValueHeads, headSize, hiddenSize } = config;
  const B = sequences.length;
  const L = Math.max(...sequences.map((ids) => ids.length));
  const has = (name: string): boolean => weights.has(name);
  const weight = (name: string): Tensor => {
    const found = weights.get(name);
    if (found === undefined) throw new Error(`No weight ${name}`);
    return found;
  };
  const product = (x: Tensor, name: string): Tensor =>
    linear(x, weight(`${name}.weight`), has(`${name}.bias`) ? { bias: weight(`${name}.bias`) } : {});
  const norm = (x: Tensor, name: string): Tensor => {
    const own = weight(`${name}.weight`);
    const scale = config.normScale === 'weight' ? own : add_Scalar(own, 1);
    return rms_norm(x, [own.shape[0] ?? 0], { weight: scale, eps: config.normEpsilon });
  };

  const tables = rotaryTables(config, L, weight('model.embed_tokens.weight').device);
  const limit = longAfter(config);
  const rows = int64(sequences.flatMap((ids) => Array.from({ length: L }, (_, i) => i + (ids.length > limit ? L : 0))));
  const turn = (x: Tensor, rope: number): Tensor => {
    // [B, H, L, d]: halves rotated against each other.
    const table = tables[rope];
    if (table === undefined) throw new Error(`No rope ${rope}`);
    const cos = view(index_select(table.cos_PR, 0, rows), [B, 1, L, headSize / 2]);
    const sin = view(index_select(table.sin_PR, 0, rows), [B, 1, L, headSize / 2]);
    const a = part(x, 3, 0, headSize / 2);
    const b = part(x, 3, headSize / 2, headSize / 2);
    return cat(
      [sub_Tensor(mul_Tensor(a, cos), mul_Tensor(b, sin)), add_Tensor(mul_Tensor(b, cos), mul_Tensor(a, sin))],
      { dim: 3 },
    );
  };
  const hidden = (window: number): Tensor => {
    const seen = (query: number, key: number): boolean => key <= query && (window === 0 || key > query - window);
    const cells = Array.from({ length: L * L }, (_, i) => (seen(Math.floor(i / L), i % L) ? 0 : 1));
    return tensorFrom(Uint8Array.from(cells), [L, L], 'bool');
  };
  const split = (x: Tensor, count: number): Tensor => transpose_int(reshape(x, [B, L, count, headSize]), 1, 2);
  const wide = (x: Tensor): Tensor => repeat_interleave_self_int(x, heads / keyValueHeads, { dim: 1 });

  const attention = (x: Tensor, layer: number): Tensor => {
    const name = `model.layers.${layer}.self_attn`;
    const { window, rope } = config.layerAttention[layer] ?? { window: 0, rope: 0 };
    let [q, k, v] = ((): [Tensor, Tensor, Tensor] => {
      if (!has(`${name}.qkv_proj.weight`)) {
        return [product(x, `${name}.q_proj`), product(x, `${name}.k_proj`), product(x, `${name}.v_proj`)];
      }
      const all = product(x, `${name}.qkv_proj`);
      const [queries, keys] = [heads * headSize, keyValueHeads * headSize];
      return [part(all, 2, 0, queries), part(all, 2, queries, keys), part(all, 2, queries + keys, keys)];
    })();
    if (config.queryKeyNorm === 'whole') [q, k] = [norm(q, `${name}.q_norm`), norm(k, `${name}.k_norm`)];
    q = split(q, heads);
    k = split(k, keyValueHeads);
    v = split(v, keyValueHeads);
    if (config.queryKeyNorm === 'per-head') [q, k] = [norm(q, `${name}.q_norm`), norm(k, `${name}.k_norm`)];
    const raw = matmul(turn(q, rope), transpose_int(wide(turn(k, rope)), 2, 3));
    const scores = capped(mul_Scalar(raw, config.attentionScale), config.attentionSoftCap);
    const masked = masked_fill_Scalar(scores, hidden(window), Number.NEGATIVE_INFINITY);
    const out = matmul(softmax_int(masked, -1), wide(v));
    return product(reshape(transpose_int(out, 1, 2), [B, L, heads * headSize]), `${name}.o_proj`);
  };

  const mlp = (x: Tensor, layer: number): Tensor => {
    const name = `model.layers.${layer}.mlp`;
    let [gate, up] = ((): [Tensor, Tensor] => {
      if (!has(`${name}.gate_up_proj.weight`)) return [product(x, `${name}.gate_proj`), product(x, `${name}.up_proj`)];
      const both = product(x, `${name}.gate_up_proj`);
      return [
        part(both, 2, 0, config.intermediateSize),
        part(both, 2, config.intermediateSize, config.intermediateSize),
      ];
    })();
    gate = config.activation === 'silu' ? silu(gate) : gelu(gate, { approximate: 'tanh' });
    return product(mul_Tensor(gate, up), `${name}.down_proj`);
  };

  const ids = int64(sequences.flatMap((each) => [...each, ...Array<number>(L - each.length).fill(0)]));
  let x = view(index_select(weight('model.embed_tokens.weight'), 0, ids), [B, L, hiddenSize]);
  x = mul_Scalar(x, config.embeddingScale);
  for (let layer = 0; layer < config.layers; layer++) {
    const at = (name: string): string => `model.layers.${layer}.${name}`;
    switch (config.normPlacement) {
      case 'before':
        x = add_Tensor(x, attention(norm(x, at('input_layernorm')), layer));
        x = add_Tensor(x, mlp(norm(x, at('post_attention_layernorm')), layer));
        break;
      case 'after':
        x = add_Tensor(x, norm(attention(x, layer), at('post_attention_layernorm')));
        x = add_Tensor(x, norm(mlp(x, layer), at('post_feedforward_layernorm')));
        break;
      case 'around': {
        const attended = attention(norm(x, at('input_layernorm')), layer);
        x = add_Tensor(x, norm(attended, at('post_attention_layernorm')));
        const inner = mlp(norm(x, at('pre_feedforward_layernorm')), layer);
        x = add_Tensor(x, norm(inner, at('post_feedforward_layernorm')));
        break;
      }
    }
  }
  const head = config.tiedHead ? 'model.embed_tokens' : 'lm_head';
  return capped(product(norm(x, 'model.norm'), head), config.logitSoftCap);
}
