/**
 * @file What the benchmark of a GPU does and how it counts: a random model of a published shape, pairs of random tokens, steps,
 * responses, and the formula of utilisation. Small shapes run on the CPU, where tests run it.
 */
import type { ModelConfig } from '../../src/model/config.ts';
import { expectedWeights } from '../../src/model/weights.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import { generate } from '../../src/sample/generate.ts';
import { openSampler } from '../../src/sample/sampler.ts';
import { scoreTrees } from '../../src/score/log-probs.ts';
import { microBatches } from '../../src/score/packing.ts';
import { openPolicy } from '../../src/score/policy.ts';
import { buildTree, type PairTree } from '../../src/score/trees.ts';
import { noGrad } from '../../src/torch/autograd.ts';
import { add_Scalar, arange, cos, mul_Scalar, reshape, to_dtype } from '../../src/torch/ops.ts';
import { outlive, scope, type Tensor, toFloat32Array } from '../../src/torch/tensor.ts';
import { openOptimiser } from '../../src/train/optimiser.ts';
import { withoutPause } from '../../src/train/pausing.ts';
import { trainingStep } from '../../src/train/step.ts';

/** Where and how much. */
export interface Workload {
  config: ModelConfig;
  device: string;
  /** Pairs of a step, and tokens of a prompt and of each of its three continuations. */
  pairs: number;
  promptTokens: number;
  responseTokens: number;
  microBatchTokens: number;
  steps: number;
  /** Tokens that each response has, in decoding. */
  newTokens: number;
}

/**
 * Weights in bf16 on the device: cosines of whole numbers, which are spread like random ones, as large as 1 / sqrt(inputs).
 */
export function randomWeights(config: ModelConfig, device: string): Map<string, Tensor> {
  let first = 0;
  return new Map(
    [...expectedWeights(config)].map(([name, shape]) => {
      const size = shape.reduce((product, length) => product * length, 1);
      first += 7919;
      const weight = scope(`make ${name}`, () =>
        noGrad(() => {
          const numbers = cos(add_Scalar(arange(size, { dtype: 'float32', device }), first));
          const scaled =
            shape.length === 1
              ? add_Scalar(mul_Scalar(numbers, 0.1), name.endsWith('norm.weight') ? 1 : 0)
              : mul_Scalar(numbers, Math.SQRT2 / Math.sqrt(shape[1] ?? 1));
          return to_dtype(reshape(scaled, shape), 'bfloat16');
        }),
      );
      return [name, outlive(weight)] as const;
    }),
  );
}

/** Pairs with a response of the policy's own beside chosen and rejected, of random tokens. */
export function randomPairs({ config, pairs, promptTokens, responseTokens }: Workload, step: number): PairTree[] {
  const tokens = (what: string, index: number, count: number): Int32Array => {
    const key = randomKey(1, 'bench', what, step, index);
    return Int32Array.from({ length: count }, (_, i) => Math.floor(uniformAt(key, i) * config.vocabularySize));
  };
  return Array.from({ length: pairs }, (_, index) =>
    buildTree({
      pairId: `${step}-${index}`,
      promptIds: tokens('prompt', index, promptTokens),
      chosenIds: tokens('chosen', index, responseTokens),
      rejectedIds: tokens('rejected', index, responseTokens),
      responseIds: tokens('response', index, responseTokens),
    }),
  );
}

/** What training measured. */
export interface TrainingResult {
  secondsPerStep: number;
  tokensPerSecond: number;
  pairsPerSecond: number;
  /** Loss of the first step: ln 2, if all is well. */
  firstPreferenceLoss: number;
  utilisation: number;
}

/** Steps of SELM; the first is not timed, because libraries choose their kernels in it. */
export function trainSteps(
  work: Workload,
  weights: ReadonlyMap<string, Tensor>,
  { lora, peakFlops }: { lora: boolean; peakFlops: number },
): TrainingResult {
  const { config, steps, microBatchTokens } = work;
  const settings = { rank: 16, alpha: 32, rankStabilised: false, targets: 'all-linear' } as const;
  using policy = openPolicy(
    { config, weights },
    { dtype: 'bfloat16', states: 'bfloat16', purpose: 'train', lora: lora ? { settings, seed: 1 } : null },
  );
  using optimiser = openOptimiser(policy);
  let seconds = 0;
  let tokens = 0;
  let firstPreferenceLoss = Number.NaN;
  for (let step = 0; step <= steps; step++) {
    const batches = microBatches(randomPairs(work, step), microBatchTokens);
    const reference = new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
    finish(weights);
    const startedMs = performance.now();
    const result = withoutPause(
      trainingStep(policy, optimiser, {
        batches,
        reference,
        objective: {
          preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
          exploration: { kind: 'selm', alpha: 0.001 },
        },
        activations: 'recompute',
        adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
        learningRate: 5e-7,
        maxGradientNorm: 1,
      }),
    );
    finish(policy.masters);
    if (step === 0) {
      firstPreferenceLoss = result.pairs.reduce((sum, pair) => sum + pair.objective.preferenceLoss, 0) / work.pairs;
      continue;
    }
    seconds += (performance.now() - startedMs) / 1000;
    tokens += result.tokens;
  }
  const flops = stepFlopsPerToken(config, { lora }) * tokens;
  return {
    secondsPerStep: seconds / steps,
    tokensPerSecond: tokens / seconds,
    pairsPerSecond: (work.pairs * steps) / seconds,
    firstPreferenceLoss,
    utilisation: flops / seconds / peakFlops,
  };
}

/** Waits for the device: one number of one weight is read. */
function finish(weights: ReadonlyMap<string, Tensor>): void {
  const norm = [...weights.values()].find(({ shape }) => shape.length === 1) ?? [...weights.values()][0];
  if (norm !== undefined) scope('wait', () => void toFloat32Array(noGrad(() => to_dtype(norm, 'float32'))));
}

/** Weights that a token is multiplied with: all matrices, the embedding only where it is the head. */
export function productWeights(config: ModelConfig): number {
  return [...expectedWeights(config)].reduce(
    (sum, [name, shape]) =>
      shape.length === 1 || (name === 'model.embed_tokens.weight' && !config.tiedHead)
        ? sum
        : sum + shape.reduce((product, length) => product * length, 1),
    0,
  );
}

/**
 * Operations of the model for a token of a training step: 6 for each weight of a product, two forward and four backward; with
 * an adapter 4, since frozen weights get no gradient. What is computed again for memory, attention and the adapter are not
 * counted, and a token that is not scored counts as if the head saw it.
 */
export function stepFlopsPerToken(config: ModelConfig, { lora }: { lora: boolean }): number {
  return (lora ? 4 : 6) * productWeights(config);
}

/** What decoding measured. */
export interface DecodingResult {
  batch: number;
  tokensPerSecond: number;
  /** Weights are read once for each token of a batch: their bytes a second, of the memory's. */
  bandwidthShare: number;
}

/** Responses of `batch` prompts at once, each of newTokens. */
export async function decode(
  work: Workload,
  weights: ReadonlyMap<string, Tensor>,
  { batch, bytesPerSecond }: { batch: number; bytesPerSecond: number },
): Promise<DecodingResult> {
  const { config, newTokens, promptTokens } = work;
  const sampler = openSampler({ config, weights }, { dtype: 'bfloat16' });
  try {
    const run = async (count: number, name: string): Promise<number> => {
      const requests = Array.from({ length: batch }, (_, index) => ({
        promptId: `${name}-${index}`,
        promptIds: Array.from({ length: promptTokens }, (_, i) => (i * 31 + index) % config.vocabularySize),
        samples: [{ sampleIndex: 0, key: randomKey(1, name, index) }],
      }));
      const settings = { temperature: 1, topP: 1, topK: 0, maxNewTokens: count, stopIds: [], batchSize: batch };
      const startedMs = performance.now();
      for await (const _ of generate(sampler, requests, settings));
      return (performance.now() - startedMs) / 1000;
    };
    // Prompts and the first token are in both, so that the difference is decoding alone.
    await run(1, 'warm-up');
    const short = await run(1, 'short');
    const seconds = Math.max(1e-9, (await run(newTokens, 'long')) - short);
    const tokensPerSecond = (batch * (newTokens - 1)) / seconds;
    const weightBytes = 2 * productWeights(config);
    return { batch, tokensPerSecond, bandwidthShare: ((tokensPerSecond / batch) * weightBytes) / bytesPerSecond };
  } finally {
    sampler.dispose();
  }
}
