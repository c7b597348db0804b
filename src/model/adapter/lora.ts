/**
 * @file LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685): a frozen matrix W [O, I] plus scale * B A with A [R, I]
 * and B [O, R] of a small rank R. Here is its arithmetic: which matrices, which shapes, how it starts, how it is merged.
 * The scale is alpha / R, or rank-stabilised alpha / sqrt(R) (rsLoRA, Kalajdzievski 2023, https://arxiv.org/abs/2312.03732).
 */
import { ModelError } from '../../errors.ts';
import { type RandomKey, randomKey, uniformAt } from '../../random.ts';
import { addmm, to_dtype, zeros } from '../../torch/ops.ts';
import { scope, type Tensor, tensorFrom } from '../../torch/tensor.ts';
import type { ModelConfig } from '../config.ts';
import { expectedWeights } from '../weights.ts';

/** What a recipe says about an adapter. */
export interface LoraSettings {
  rank: number;
  alpha: number;
  /** Names of modules (`q_proj`, `self_attn.q_proj`), or every matrix of the blocks. */
  targets: 'all-linear' | readonly string[];
  rankStabilised: boolean;
}

/** The two factors of one matrix, fp32. */
export interface LowRank {
  a_RI: Tensor;
  b_OR: Tensor;
}

/** An adapter: what is added to a base model's matrices. */
export interface Adapter {
  rank: number;
  alpha: number;
  rankStabilised: boolean;
  /** Factor of B A. */
  scale: number;
  /** The part of the base that the adapter is for: PEFT names modules by the whole model. */
  part: ModelConfig['part'];
  /** By the name of the base's weight. */
  factors: ReadonlyMap<string, LowRank>;
}

/** Factor of B A. */
export function loraScale({ rank, alpha, rankStabilised }: Pick<LoraSettings, 'rank' | 'alpha' | 'rankStabilised'>) {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank);
}

/** Name of the module that a matrix belongs to, in the whole model: its own without `.weight`. */
export function moduleOf(weight: string, part: ModelConfig['part']): string {
  const module = weight.replace(/\.weight$/, '');
  return part === 'whole' ? module : module.replace(/^model\./, 'model.language_model.');
}

/** Matrices of the blocks by name, with their shapes [O, I]: what an adapter can change. */
function blockMatrices(config: ModelConfig): Map<string, [number, number]> {
  return new Map(
    [...expectedWeights(config)].flatMap(([name, [outputs = 0, inputs]]) =>
      inputs === undefined || !/^model\.layers\.\d+\./.test(name) ? [] : [[name, [outputs, inputs]]],
    ),
  );
}

/**
 * Names and shapes [O, I] of the matrices that `targets` means, in the model's order. A name means every module that is
 * called so or ends with it after a point, as in PEFT. Throws ModelError LORA_TARGET for a name that means nothing.
 */
export function targetShapes(config: ModelConfig, targets: LoraSettings['targets']): Map<string, [number, number]> {
  const matrices = blockMatrices(config);
  if (targets === 'all-linear') return matrices;
  const isMeant = (weight: string, target: string): boolean =>
    `.${moduleOf(weight, config.part)}`.endsWith(`.${target}`);
  for (const target of targets) {
    if ([...matrices.keys()].some((weight) => isMeant(weight, target))) continue;
    throw new ModelError(
      'LORA_TARGET',
      `Cannot put an adapter on "${target}": the model has no such matrix in its blocks: allowed are all-linear or names among ${moduleNames(matrices.keys()).join(', ')}`,
      { details: { target } },
    );
  }
  return new Map([...matrices].filter(([weight]) => targets.some((target) => isMeant(weight, target))));
}

/**
 * The shortest list of names that means these matrices and no others: `q_proj` where every block's is among them, else
 * the whole name of each. Beside a text part there are eyes with a `q_proj` of their own.
 */
export function targetNames(config: ModelConfig, weights: Iterable<string>): string[] {
  const chosen = new Set(weights);
  const others = [...blockMatrices(config).keys()].filter((weight) => !chosen.has(weight));
  const partial = new Set(others.map(lastPart));
  const isAmbiguous = (weight: string): boolean => config.part === 'text' || partial.has(lastPart(weight));
  return [
    ...new Set([...chosen].map((weight) => (isAmbiguous(weight) ? moduleOf(weight, config.part) : lastPart(weight)))),
  ];
}

/** Last parts of the modules' names, each once, in order: `q_proj`, `k_proj` ... */
function moduleNames(weights: Iterable<string>): string[] {
  return [...new Set([...weights].map(lastPart))];
}

function lastPart(weight: string): string {
  return moduleOf(weight, 'whole').replace(/^.*\./, '');
}

/**
 * A fresh adapter, which changes nothing yet: B is zero, A uniform within 1 / sqrt(I) (PyTorch's default for a linear
 * layer, which PEFT uses). A follows from the seed and the matrix's name alone.
 */
export function initialAdapter(
  config: ModelConfig,
  { settings, seed, device }: { settings: LoraSettings; seed: number; device?: string | undefined },
): Adapter {
  const { rank, alpha, rankStabilised } = settings;
  const factors = new Map<string, LowRank>();
  for (const [weight, [outputs, inputs]] of targetShapes(config, settings.targets)) {
    const a_RI = uniform(randomKey(seed, 'adapter', weight), { rows: rank, columns: inputs, device });
    factors.set(weight, { a_RI, b_OR: zeros([outputs, rank], { dtype: 'float32', device }) });
  }
  return { rank, alpha, rankStabilised, scale: loraScale(settings), part: config.part, factors };
}

/** Throws ModelError LORA_DIFFERS where an adapter that is to be trained further is not what the settings ask for. */
export function checkSameSettings(
  adapter: Adapter,
  { config, settings }: { config: ModelConfig; settings: LoraSettings },
): void {
  const asked = [...targetShapes(config, settings.targets).keys()];
  const sameTargets = asked.length === adapter.factors.size && asked.every((weight) => adapter.factors.has(weight));
  const differences = [
    ...(['rank', 'alpha', 'rankStabilised'] as const).flatMap((field) =>
      adapter[field] === settings[field] ? [] : [`${field} ${adapter[field]}, not ${settings[field]}`],
    ),
    ...(sameTargets ? [] : [`targets ${targetNames(config, adapter.factors.keys()).join(', ')}`]),
  ];
  if (differences.length === 0) return;
  throw new ModelError(
    'LORA_DIFFERS',
    `Cannot train the adapter further: it has ${differences.join('; ')}: set training.adapter to what it has, or merge it first (selm merge)`,
    { details: { differences } },
  );
}

function uniform(
  key: RandomKey,
  { rows, columns, device }: { rows: number; columns: number; device: string | undefined },
): Tensor {
  const bound = 1 / Math.sqrt(columns);
  const values = Float32Array.from({ length: rows * columns }, (_, i) => bound * (2 * uniformAt(key, i) - 1));
  return tensorFrom(values, [rows, columns], 'float32', device);
}

/** A weight with its part of the adapter added, W + scale * B A in fp32; the weight itself where it has none. */
export function mergedWeight(name: string, weight: Tensor, adapter: Adapter | null): Tensor {
  const factors = adapter?.factors.get(name);
  if (adapter === null || factors === undefined) return weight;
  return scope('merge an adapter', () =>
    addmm(to_dtype(weight, 'float32'), factors.b_OR, factors.a_RI, { alpha: adapter.scale }),
  );
}
