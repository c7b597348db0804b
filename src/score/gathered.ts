/**
 * @file The passes of a policy whose blocks are gathered: a block is whole only while it computes, and the next one is on its
 * way meanwhile. All ranks make the same passes in the same order; one that has no batch left helps the others with its
 * slices. What a rank computes is what stream.ts computes, to the bit.
 */
import { type BlockContext, decoderBlock, finalNorm } from '../model/decoder.ts';
import { type GatheredUnit, gatherUnit, type Shards } from '../shard/shards.ts';
import { enableGrad, noGrad, requireGrad } from '../torch/autograd.ts';
import { detach } from '../torch/ops.ts';
import { hold, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { scoreRanges } from './head.ts';
import { byPair } from './log-probs.ts';
import type { PackedTrees } from './packing.ts';
import type { Policy } from './policy.ts';
import { addEmbeddingGradient, backwardThrough, embed, placeStream, type ScoredRows } from './stream.ts';
import type { TokenTree, TreeLogProbs } from './trees.ts';

/** Work that waits for other ranks, and gives signals and collectives their turn. */
export type Waiting<Result> = Generator<Promise<void> | void, Result, void>;

/** A pass: this rank's batch, or none. */
interface Pass {
  policy: Policy;
  shards: Shards;
  batch: PackedTrees<TokenTree> | null;
  name: string;
  /** Whatever it gathered, to be freed when it ends, however it ends. */
  units: GatheredUnit[];
}

type Batch = PackedTrees<TokenTree> | null;

function openPass(policy: Policy, batch: Batch, name: string): Pass {
  if (policy.shards?.gathered == null) throw new Error('The blocks of this policy are not gathered');
  return { policy, shards: policy.shards, batch, name, units: [] };
}

function gather({ policy, shards, name, units }: Pass, unit: 'ends' | number, withGradients: boolean): GatheredUnit {
  const flats = unit === 'ends' ? shards.gathered?.ends : shards.gathered?.blocks[unit];
  const gathered = gatherUnit(shards, flats ?? [], { name, withGradients, device: policy.device });
  units.push(gathered);
  return gathered;
}

/** A stream of tokens on its way; freed when its pass ends. */
interface Stream {
  batch: PackedTrees<TokenTree>;
  context: BlockContext;
  rows_S: Tensor;
  targets_S: Tensor;
  x_TD: Tensor;
}

function openStream({ policy, batch }: Pass): { stream: Stream | null; free(): void } {
  if (batch === null) return { stream: null, free: () => {} };
  const held = hold('a pass', () =>
    noGrad(() => {
      const { ids_T, ...placed } = placeStream(policy, batch);
      return { batch, ...placed, x_TD: scope('embed', () => embed(policy, ids_T)) };
    }),
  );
  return { stream: held.result, free: held.free };
}

/** A block's output; the last block's of the scored rows only, [S, D]. */
function block(
  { policy }: Pass,
  { context, rows_S }: Stream,
  { input_TD, layer }: { input_TD: Tensor; layer: number },
): Tensor {
  return decoderBlock(input_TD, layer, context, layer === policy.config.layers - 1 ? rows_S : undefined);
}

/**
 * All blocks forward; `take` takes each one's input over, and gives it to compute with. Returns the last block still whole, for who
 * goes back through it.
 */
function* forward(
  pass: Pass,
  stream: Stream | null,
  options: { keepLast: boolean; take: (input_TD: Tensor) => Tensor },
): Waiting<{ x_SD: Tensor | null; last: GatheredUnit | null }> {
  const { layers } = pass.policy.config;
  const isKept = (layer: number): boolean => options.keepLast && layer === layers - 1;
  let coming = gather(pass, 0, isKept(0));
  let x_TD = stream?.x_TD ?? null;
  for (let layer = 0; ; layer++) {
    const here = coming;
    yield here.arrive();
    if (layer + 1 < layers) {
      coming = gather(pass, layer + 1, isKept(layer + 1));
      yield;
    }
    if (stream !== null && x_TD !== null) {
      const input_TD = options.take(x_TD);
      x_TD = outlive(scope('block', () => noGrad(() => block(pass, stream, { input_TD, layer }))));
    }
    if (isKept(layer)) return { x_SD: x_TD, last: here };
    here.leave();
    if (layer + 1 === layers) return { x_SD: x_TD, last: null };
  }
}

/** Forward, `head`, backward, as forwardBackward; this rank's slices get the gradients of all ranks' batches. */
export function* gatheredForwardBackward(
  policy: Policy,
  batch: Batch,
  { name, head }: { name: string; head: (rows: ScoredRows) => Tensor },
): Waiting<void> {
  const pass = openPass(policy, batch, name);
  const ends = gather(pass, 'ends', true);
  yield ends.arrive();
  const { stream, free } = openStream(pass);
  const inputs: Tensor[] = [];
  const take = (x_TD: Tensor): Tensor => {
    const input_TD = requireGrad(detach(x_TD));
    x_TD.dispose('its block');
    inputs.push(input_TD);
    return input_TD;
  };
  try {
    const { x_SD, last } = yield* forward(pass, stream, { keepLast: true, take });
    let gradient_TD = stream === null || x_SD === null ? null : throughHead(stream, x_SD, head);
    x_SD?.dispose('the head');
    let coming = last;
    let reducing: Promise<void> | null = null;
    for (let layer = policy.config.layers - 1; layer >= 0; layer--) {
      const here = coming ?? gather(pass, layer, true);
      if (here !== last) yield here.arrive();
      coming = layer > 0 ? gather(pass, layer - 1, true) : null;
      yield;
      const [input_TD, outer_TD] = [inputs.pop(), gradient_TD];
      if (stream !== null && input_TD !== undefined && outer_TD !== null) {
        gradient_TD = outlive(
          scope('block backward', () => {
            const output_TD = enableGrad(() => scope('block again', () => block(pass, stream, { input_TD, layer })));
            return backwardThrough(output_TD, outer_TD, input_TD);
          }),
        );
        outer_TD.dispose('the block before');
        input_TD.dispose('its backward pass');
      }
      here.leave();
      if (reducing !== null) yield reducing;
      reducing = here.reduce(name);
      reducing.catch(() => {}); // heard when it is awaited
    }
    if (stream !== null && gradient_TD !== null) {
      const outer_TD = gradient_TD;
      scope('embedding backward', () => addEmbeddingGradient(policy, stream.batch, outer_TD));
      outer_TD.dispose('the embedding');
    }
    if (reducing !== null) yield reducing;
    ends.leave();
    yield ends.reduce(name);
  } finally {
    for (const input_TD of inputs) input_TD.dispose();
    for (const unit of pass.units) unit.free();
    free();
  }
}

/** The gradient by the last block's output. */
function throughHead(stream: Stream, x_SD: Tensor, head: (rows: ScoredRows) => Tensor): Tensor {
  return outlive(
    scope('head', () => {
      const last_SD = requireGrad(detach(x_SD));
      const hidden_SD = enableGrad(() => finalNorm(last_SD, stream.context));
      return backwardThrough(
        hidden_SD,
        noGrad(() => head({ hidden_SD: detach(hidden_SD), targets_S: stream.targets_S })),
        last_SD,
      );
    }),
  );
}

/** What `use` makes of the scored rows; null for a rank without a batch. */
export function* gatheredHidden<Result>(
  policy: Policy,
  batch: Batch,
  { name, use }: { name: string; use: (rows: ScoredRows, batch: PackedTrees<TokenTree>) => Result },
): Waiting<Result | null> {
  const pass = openPass(policy, batch, name);
  const ends = gather(pass, 'ends', false);
  yield ends.arrive();
  const { stream, free } = openStream(pass);
  const inputs: Tensor[] = [];
  const take = (x_TD: Tensor): Tensor => {
    inputs.pop()?.dispose('the next block');
    inputs.push(x_TD);
    return x_TD;
  };
  try {
    const { x_SD } = yield* forward(pass, stream, { keepLast: false, take });
    if (stream === null || x_SD === null || batch === null) return null;
    const { context, targets_S } = stream;
    const rows = (): ScoredRows => ({ hidden_SD: finalNorm(x_SD, context), targets_S });
    const result = scope('use hidden states', () => noGrad(() => use(rows(), batch)));
    x_SD.dispose('its use');
    return result;
  } finally {
    for (const input_TD of inputs) input_TD.dispose();
    for (const unit of pass.units) unit.free();
    free();
  }
}

/** Summed log-probabilities of every continuation of every tree of a batch, by pair, as scoreTrees. */
export function* gatheredScores(policy: Policy, batch: Batch, name: string): Waiting<Map<string, TreeLogProbs>> {
  const use = (rows: ScoredRows, own: PackedTrees<TokenTree>) => byPair(own, scoreRanges(policy, own, rows));
  return (yield* gatheredHidden(policy, batch, { name, use })) ?? new Map();
}
