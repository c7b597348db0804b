/**
 * @file The policy: the weights that products are computed with, and the masters and gradients of those that training
 * changes. These are all weights, or only an adapter's factors (LoRA) while the rest stays as it is on disk. Masters
 * are fp32, with bf16 copies that are refreshed after each update. Or the masters are bf16 and compute themselves; the
 * optimiser then rounds its updates at random, because updates of 5e-7 would otherwise vanish.
 */
import { namedFactors } from '../model/adapter/adapter.ts';
import {
  type Adapter,
  checkSameSettings,
  initialAdapter,
  type LoraSettings,
  type LowRank,
  mergedWeight,
} from '../model/adapter/lora.ts';
import type { ModelConfig } from '../model/config.ts';
import type { Model } from '../model/load.ts';
import { openRotary, type Rotary } from '../model/rope.ts';
import { EMBEDDING, weightOf } from '../model/weights.ts';
import { clearShards, type Shards } from '../shard/shards.ts';
import { noGrad, requireGrad, setGradient } from '../torch/autograd.ts';
import { clone, copy_, to_dtype, zero_, zeros_like } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';

/** Type that products are computed in. */
export type ComputeDtype = 'float32' | 'bfloat16';

/** Type of what training keeps of a matrix: its master and its moments, and with bf16 its gradient too. */
export type StateDtype = 'float32' | 'bfloat16';

/** The low-rank path beside the matrices: x A^T B^T, times the adapter's scale, is added to each product. */
export interface LowRankPath {
  adapter: Adapter;
  /** The factors in the policy's `dtype`, by the name of the matrix: the adapter's own in fp32. */
  compute: ReadonlyMap<string, LowRank>;
}

export interface Policy {
  config: ModelConfig;
  dtype: ComputeDtype;
  /** Where its weights are, and everything is computed: the model's. */
  device: string;
  /** The model's weights in `dtype`, by Hugging Face's names. */
  compute: ReadonlyMap<string, Tensor>;
  /** Its norms and biases in fp32. */
  vectors: ReadonlyMap<string, Tensor>;
  lowRank: LowRankPath | null;
  /** Its rotary tables. */
  rotary: Rotary;
  /**
   * What training changes: all weights by Hugging Face's names, or an adapter's factors by PEFT's. Empty for a policy that
   * only scores. Matrices have the type of its states, norms and biases are fp32.
   */
  masters: ReadonlyMap<string, Tensor>;
  /**
   * What the backward pass adds gradients to: the masters; or, where ranks share those, the weights that are whole at the
   * moment, by their own names.
   */
  leaves: ReadonlyMap<string, Tensor>;
  /** Gradients of the leaves in their types; null for a policy that only scores. */
  gradients: ReadonlyMap<string, Tensor> | null;
  /** What ranks share of it; its masters are then this rank's slices, by their flats' names. Null where it is whole. */
  shards: Shards | null;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A model to make a policy of; `adapter` may be left out where there is none. */
export type PolicySource = Pick<Model, 'config' | 'weights'> & Partial<Pick<Model, 'adapter'>>;

/** Where an adapter's training starts: at the model's own adapter, or where it has none at a fresh one. */
export interface LoraStart {
  settings: LoraSettings;
  seed: number;
}

export interface PolicyOptions {
  dtype: ComputeDtype;
  /** To be trained, or only to score sequences. */
  purpose: 'train' | 'score';
  /**
   * Type of the masters of matrices. bf16 ones need products in bf16, and then are what products are computed with.
   * @default 'float32'
   */
  states?: StateDtype | undefined;
  /** Train an adapter and leave the model's weights alone. @default null */
  lora?: LoraStart | null | undefined;
  /** Weights of no model that are trained beside an adapter, or beside what ranks share, such as a reward's head. @default none */
  beside?: ReadonlyMap<string, Tensor> | undefined;
  /**
   * Weights that do not change: read where they lie, in the model's files, with an adapter's low-rank path beside them, as
   * an adapter's training does; or copied to memory that the engine aligns, an adapter merged into them, as full training
   * does. Products of the two differ in their last bits, so a reference takes what its policy takes.
   * @default 'in-place' for the weights below an adapter in training, else 'copied'
   */
  frozen?: 'copied' | 'in-place' | undefined;
  /**
   * Whether the model's weights are still wanted. Those that are not are freed one by one, each when its copy is made: 8 billion of
   * them in bf16 are 16 GB of a card that the policy needs whole.
   * @default 'kept'
   */
  source?: 'kept' | 'freed' | undefined;
}

/** Makes a policy of a model, which may be disposed afterwards. */
export function openPolicy(model: PolicySource, options: PolicyOptions): Policy {
  const build = (): Omit<Policy, 'device' | 'rotary' | 'leaves' | 'shards' | 'dispose' | typeof Symbol.dispose> => {
    if (options.purpose === 'score') return scoringPolicy(model, options);
    if (options.lora) return adapterPolicy(model, { ...options, lora: options.lora });
    return fullPolicy(model, options);
  };
  const built = outlive(scope('open a policy', () => noGrad(build)));
  const { masters, compute, vectors, lowRank, gradients } = built;
  const { device } = weightOf(compute, EMBEDDING);
  const rotary = openRotary(model.config, device);
  const dispose = (): void => {
    disposeAll([masters, compute, vectors, lowRank, gradients]);
    rotary.dispose();
  };
  return { ...built, rotary, leaves: masters, shards: null, device, dispose, [Symbol.dispose]: dispose };
}

/** Every weight has a master; an adapter of the model is merged into them. */
function fullPolicy(
  { config, weights, adapter = null }: PolicySource,
  { dtype, states = 'float32', source = 'kept' }: PolicyOptions,
) {
  const masters = new Map(
    [...weights].map(([name, weight]) => {
      const master = mergedCopy(name, weight, { adapter, dtype: masterDtype(weight, states) });
      if (source === 'freed') weight.dispose('the policy that was made of it');
      return [name, master];
    }),
  );
  const compute = new Map([...masters].map(([name, master]) => [name, computingCopy(master, dtype)]));
  return {
    config,
    dtype,
    compute,
    vectors: vectorsOf(masters),
    lowRank: null,
    masters,
    gradients: gradientsOf(masters),
  };
}

/** Norms, biases, and what gives a single number are few and felt everywhere: their masters are fp32 whatever the others are. */
function masterDtype({ shape }: Tensor, states: StateDtype): StateDtype {
  return shape.length === 1 || shape[0] === 1 ? 'float32' : states;
}

/** What products take for a master: itself where it has the type. */
function computingCopy(master: Tensor, dtype: ComputeDtype): Tensor {
  return master.dtype === dtype ? master : to_dtype(master, dtype);
}

/** A copy of a weight of its own, an adapter merged into it; what is made on the way is freed before the next weight. */
function mergedCopy(
  name: string,
  weight: Tensor,
  { adapter, dtype }: { adapter: Adapter | null; dtype: ComputeDtype },
): Tensor {
  return scope(`copy ${name}`, () => to_dtype(mergedWeight(name, weight, adapter), dtype, { copy: true }));
}

/** The adapter's factors have masters; the weights below stay as they are on disk where they have the right type. */
function adapterPolicy(
  { config, weights, adapter = null }: PolicySource,
  { dtype, states = 'float32', lora, beside = new Map(), frozen = 'in-place' }: PolicyOptions & { lora: LoraStart },
) {
  if (adapter !== null) checkSameSettings(adapter, { config, settings: lora.settings });
  const device = weights.get(EMBEDDING)?.device;
  const lowRank = lowRankPath(adapter ?? initialAdapter(config, { ...lora, device }), { dtype, states });
  const besides = [...beside].map(([name, weight]): [string, Tensor] => [name, clone(weight)]);
  const masters = new Map([...namedFactors(lowRank.adapter), ...besides]);
  return {
    config,
    dtype,
    ...frozenWeights(weights, { dtype, frozen }),
    lowRank,
    masters,
    gradients: gradientsOf(masters),
  };
}

function scoringPolicy({ config, weights, adapter = null }: PolicySource, { dtype, frozen = 'copied' }: PolicyOptions) {
  const beside = frozen === 'copied' ? null : adapter;
  const merged = frozen === 'copied' ? adapter : null;
  return {
    config,
    dtype,
    ...frozenWeights(weights, { dtype, frozen, merged }),
    lowRank: beside === null ? null : lowRankPath(beside, { dtype, states: 'float32' }),
    masters: new Map(),
    gradients: null,
  };
}

/** Weights that only compute; an adapter that is `merged` is for copies. */
export function frozenWeights(
  weights: ReadonlyMap<string, Tensor>,
  { dtype, frozen, merged = null }: { dtype: ComputeDtype; frozen: 'copied' | 'in-place'; merged?: Adapter | null },
): Pick<Policy, 'compute' | 'vectors'> {
  const copy = frozen === 'copied';
  const take = (name: string, weight: Tensor): Tensor =>
    copy ? mergedCopy(name, weight, { adapter: merged, dtype }) : to_dtype(weight, dtype);
  return {
    compute: new Map([...weights].map(([name, weight]) => [name, take(name, weight)])),
    vectors: new Map([...vectorsOf(weights)].map(([name, vector]) => [name, to_dtype(vector, 'float32', { copy })])),
  };
}

/** Norms and biases. */
function vectorsOf(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...weights].filter(([, weight]) => weight.shape.length === 1));
}

function lowRankPath(source: Adapter, { dtype, states }: { dtype: ComputeDtype; states: StateDtype }): LowRankPath {
  const convert = (factors: Adapter['factors'], change: (factor: Tensor) => Tensor): Map<string, LowRank> =>
    new Map([...factors].map(([name, { a_RI, b_OR }]) => [name, { a_RI: change(a_RI), b_OR: change(b_OR) }]));
  const master = (factor: Tensor): Tensor => to_dtype(factor, masterDtype(factor, states), { copy: true });
  const adapter = { ...source, factors: convert(source.factors, master) };
  const compute = convert(adapter.factors, (factor) => computingCopy(factor, dtype));
  return { adapter, compute };
}

function gradientsOf(masters: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...masters].map(([name, master]) => {
      const gradient = zeros_like(master);
      setGradient(requireGrad(master), gradient);
      return [name, gradient];
    }),
  );
}

/** Sets all gradients to zero. */
export function clearGradients(policy: Policy): void {
  if (policy.shards !== null) clearShards(policy.shards);
  else scope('clear gradients', () => noGrad(() => policy.gradients?.forEach((gradient) => void zero_(gradient))));
}

/** Brings the computing copies up to date with the masters after an update; where ranks share these, refreshResident does. */
export function refreshCompute({ dtype, masters, compute, lowRank, shards }: Policy): void {
  if (dtype === 'float32' || shards !== null) return;
  const refresh = (copy: Tensor, master: Tensor): void => {
    if (copy !== master) copy_(copy, master);
  };
  scope('refresh weights', () =>
    noGrad(() => {
      if (lowRank === null) {
        for (const [name, master] of masters) refresh(weightOf(compute, name), master);
        return;
      }
      for (const [name, { a_RI, b_OR }] of lowRank.adapter.factors) {
        const copies = lowRank.compute.get(name);
        if (copies === undefined) throw new Error(`No copy of the adapter of ${name}`);
        refresh(copies.a_RI, a_RI);
        refresh(copies.b_OR, b_OR);
      }
    }),
  );
}
