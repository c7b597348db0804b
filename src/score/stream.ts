/**
 * @file A packed stream on its way through the policy: hidden states forward, and gradients backward block by block. A
 * block's graph lives only while its own gradient is computed (or, where memory allows, from its forward pass on).
 */
import { type BlockContext, decoderBlock, finalNorm, mapValues } from '../model/decoder.ts';
import { embedTokens, hiddenRows, packedContext, positionsOf, rotaryRows } from '../model/packed.ts';
import { rotations } from '../model/rope.ts';
import { biasName, EMBEDDING, weightOf } from '../model/weights.ts';
import { backward, enableGrad, gradientOf, noGrad, requireGrad } from '../torch/autograd.ts';
import { add_Tensor, addRows_, detach, mixedLinear, mixedLinears } from '../torch/ops.ts';
import { scope, type Tensor } from '../torch/tensor.ts';
import { int64Together } from '../torch/together.ts';
import type { PackedTrees } from './packing.ts';
import type { Policy } from './policy.ts';
import type { TokenTree } from './trees.ts';

/** Keep a block's activations from forward to backward, or compute them again. */
export type Activations = 'keep' | 'recompute';

/** A stream on the policy's device. */
interface PlacedStream {
  context: BlockContext;
  ids_T: Tensor;
  /** Rows that predict a scored token, and these tokens. */
  rows_S: Tensor;
  targets_S: Tensor;
}

/** What the head reads: the final hidden states of the rows that predict a scored token, and these tokens. */
export interface ScoredRows {
  hidden_SD: Tensor;
  targets_S: Tensor;
}

/** Puts what a pass and its head read of a stream on the policy's device, in one copy; no graph. */
export function placeStream(policy: Policy, batch: PackedTrees<TokenTree>): PlacedStream {
  const { config } = policy;
  return noGrad(() => {
    const { tables, length } = policy.rotary.tablesOf(positionsOf(batch));
    const parts = {
      ids_T: { numbers: batch.ids_T },
      rows_S: { numbers: batch.rows_S },
      targets_S: { numbers: batch.targets_S },
      rotary_T: { numbers: rotaryRows(config, batch, length) },
    };
    const { rotary_T, ...placed } = int64Together(parts, policy.device);
    const context = packedContext(config, batch, {
      rotation: rotations(config, tables, rotary_T),
      vector: (name) => weightOf(policy.vectors, name),
      linear: (x, name) => policyLinear(policy, x, name),
      linears: (x, names) => policyLinears(policy, x, names),
    });
    return { context, ...placed };
  });
}

/** x W^T plus the bias, plus scale * (x A^T) B^T where the matrix has an adapter; gradients go to whatever has a master. */
function policyLinear({ leaves, compute, vectors, lowRank }: Policy, x: Tensor, name: string): Tensor {
  const weight = weightOf(compute, name);
  const product = mixedLinear(x, leaves.get(name) ?? weight, weight, { bias: vectors.get(biasName(name)) });
  const factors = lowRank?.adapter.factors.get(name);
  const copies = lowRank?.compute.get(name);
  if (lowRank === null || factors === undefined || copies === undefined) return product;
  const inner_TR = mixedLinear(x, factors.a_RI, copies.a_RI);
  return add_Tensor(product, mixedLinear(inner_TR, factors.b_OR, copies.b_OR), { alpha: lowRank.adapter.scale });
}

/** Several of these with the same x; at once where nothing is added to the products. */
function policyLinears<K extends string>(policy: Policy, x: Tensor, names: Record<K, string>): Record<K, Tensor> {
  const { leaves, compute, vectors, lowRank } = policy;
  const all = Object.values<string>(names);
  if (lowRank !== null || all.some((name) => vectors.has(biasName(name))))
    return mapValues(names, (name) => policyLinear(policy, x, name));
  const weights = all.map((name) => weightOf(compute, name));
  const products = mixedLinears(
    x,
    all.map((name) => leaves.get(name) ?? weightOf(compute, name)),
    weights,
  );
  return mapValues(names, (name) => {
    const product = products[all.indexOf(name)];
    if (product === undefined) throw new Error(`No product with ${name}`);
    return product;
  });
}

/** The rows of the embedding, [T, D]. */
export function embed({ masters, compute, config, dtype }: Policy, ids_T: Tensor): Tensor {
  return embedTokens(masters.get(EMBEDDING) ?? weightOf(compute, EMBEDDING), ids_T, { config, dtype });
}

/** What the head reads of a batch; no graph. */
export function scoredRows(policy: Policy, batch: PackedTrees<TokenTree>): ScoredRows {
  return scope('scored rows', () => {
    const { context, ids_T, rows_S, targets_S } = placeStream(policy, batch);
    return { hidden_SD: hiddenRows(() => ({ context, x_TD: embed(policy, ids_T), rows_R: rows_S })), targets_S };
  });
}

/** Final hidden states of the rows that predict a scored token, [S, D]; no graph. */
export function scoredHidden(policy: Policy, batch: PackedTrees<TokenTree>): Tensor {
  return scope('scored hidden states', () => scoredRows(policy, batch).hidden_SD);
}

/**
 * Forward pass, then `head` (which sees the scored rows and returns the gradient by their hidden states [S, D]),
 * then the backward pass: gradients are added to the policy's. Returns what `head` returned besides.
 */
export function forwardBackward<R>(
  policy: Policy,
  batch: PackedTrees<TokenTree>,
  options: { activations: Activations; head: (rows: ScoredRows) => { gradient_SD: Tensor; result: R } },
): R {
  return scope('forward and backward', () => {
    const { context, ids_T, rows_S, targets_S } = placeStream(policy, batch);
    const inputs: Tensor[] = [];
    const outputs: Tensor[] = [];
    const block = (input_TD: Tensor, layer: number): Tensor =>
      decoderBlock(input_TD, layer, context, layer === policy.config.layers - 1 ? rows_S : undefined);
    let x_TD = noGrad(() => embed(policy, ids_T));
    for (let layer = 0; layer < policy.config.layers; layer++) {
      const input_TD = requireGrad(detach(x_TD));
      inputs.push(input_TD);
      const run = (): Tensor => scope('block', () => block(input_TD, layer));
      if (options.activations === 'keep') {
        x_TD = enableGrad(run);
        outputs.push(x_TD);
      } else {
        x_TD = noGrad(run);
      }
    }
    const last_SD = requireGrad(detach(x_TD));
    const hidden_SD = enableGrad(() => scope('final norm', () => finalNorm(last_SD, context)));
    const { gradient_SD, result } = noGrad(() => options.head({ hidden_SD: detach(hidden_SD), targets_S }));
    let gradient_TD = backwardThrough(hidden_SD, gradient_SD, last_SD);
    for (let layer = policy.config.layers - 1; layer >= 0; layer--) {
      const input_TD = inputs[layer];
      if (input_TD === undefined) throw new Error(`No input of block ${layer}`);
      const outer_TD = gradient_TD;
      gradient_TD = scope('block backward', () => {
        const output_TD = outputs[layer] ?? enableGrad(() => scope('block again', () => block(input_TD, layer)));
        return backwardThrough(output_TD, outer_TD, input_TD);
      });
      outer_TD.dispose('the block before');
      input_TD.dispose('its backward pass');
    }
    addEmbeddingGradient(policy, batch, gradient_TD);
    return result;
  });
}

/** Adds what the embedding's rows got to its gradient, where it is trained. */
export function addEmbeddingGradient(
  policy: Policy,
  { ids_T }: Pick<PackedTrees<TokenTree>, 'ids_T'>,
  gradient_TD: Tensor,
): void {
  const embedding = policy.gradients?.get(EMBEDDING);
  if (embedding === undefined) return;
  const alpha = policy.config.embeddingScale;
  noGrad(() => void addRows_(embedding, Array.from(ids_T), gradient_TD, { alpha }));
}

/** The gradient by the input of a block, from that by its output, which is freed. */
export function backwardThrough(output: Tensor, gradient: Tensor, input: Tensor): Tensor {
  backward([output], [gradient]);
  output.dispose('its backward pass');
  const result = gradientOf(input);
  if (result === null) throw new Error('A block input got no gradient');
  return result;
}
