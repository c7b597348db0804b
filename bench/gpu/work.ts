/**
 * @file What the benchmark of a GPU does and how it counts: a random model of a published shape, pairs of random tokens, steps,
 * responses, and the formula of utilisation. Small shapes run on the CPU, where tests run it.
 */
import { OutOfMemoryError } from '../../src/errors.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { expectedWeights } from '../../src/model/weights.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import { generate } from '../../src/sample/generate.ts';
import { openSampler } from '../../src/sample/sampler.ts';
import { scoreTrees } from '../../src/score/log-probs.ts';
import { microBatches } from '../../src/score/packing.ts';
import { openPolicy, type Policy } from '../../src/score/policy.ts';
import type { Activations } from '../../src/score/stream.ts';
import { buildTree, type PairTree } from '../../src/score/trees.ts';
import { noGrad } from '../../src/torch/autograd.ts';
import { deviceMemory, memoryStatistics } from '../../src/torch/memory.ts';
import { add_Scalar, arange, cos, mul_Scalar, narrow, reshape, to_dtype } from '../../src/torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor, toFloat32Array } from '../../src/torch/tensor.ts';
import { chooseActivations, roomOn } from '../../src/train/activations.ts';
import { type OptimiserState, openOptimiser } from '../../src/train/optimiser.ts';
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
  /** Tokens that each response has, in decoding; and a prompt, in prefilling. */
  newTokens: number;
  prefillTokens: number;
}

/** What a card can do at most, from its data sheet: dense bf16 products, and its memory. */
export interface Peaks {
  flops: number;
  bytesPerSecond: number;
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
export interface TrainingResult extends Record<string, number | string> {
  secondsPerStep: number;
  tokensPerSecond: number;
  pairsPerSecond: number;
  /** Loss of the first step: ln 2, if all is well. */
  firstPreferenceLoss: number;
  utilisation: number;
  /** Whether activations were kept or computed again, as the card's free memory allowed. */
  activations: Activations;
  /** Most bytes of tensors since the process began, on the device. */
  peakTensorBytes: number;
}

/** Steps of SELM; the first is not timed, because libraries choose their kernels in it. */
export function trainSteps(work: Workload, { lora, peaks }: { lora: boolean; peaks: Peaks }): TrainingResult {
  const { config, device, microBatchTokens } = work;
  const settings = { rank: 16, alpha: 32, rankStabilised: false, targets: 'all-linear' } as const;
  const weights = randomWeights(config, device);
  using policy = openPolicy(
    { config, weights },
    {
      ...{ dtype: 'bfloat16', states: 'bfloat16', purpose: 'train', source: 'freed' },
      lora: lora ? { settings, seed: 1 } : null,
    },
  );
  // What an adapter's policy reads where it lies stays alive by its own handles.
  disposeAll(weights);
  using optimiser = openOptimiser(policy);
  const auto = { activations: 'auto', microBatchTokens, dtype: 'bfloat16' } as const;
  const wanted = chooseActivations(auto, config, roomOn(device));
  const measure = (activations: Activations): TrainingResult =>
    timeSteps(work, { policy, optimiser, activations, flopsPerToken: stepFlopsPerToken(config, { lora }), peaks });
  try {
    return measure(wanted);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError) || wanted === 'recompute') throw error;
    return measure('recompute');
  }
}

function timeSteps(
  work: Workload,
  given: { policy: Policy; optimiser: OptimiserState; activations: Activations; flopsPerToken: number; peaks: Peaks },
): TrainingResult {
  const { policy, optimiser, activations, flopsPerToken, peaks } = given;
  const { steps } = work;
  let seconds = 0;
  let tokens = 0;
  let firstPreferenceLoss = Number.NaN;
  for (let step = 0; step <= steps; step++) {
    const batches = microBatches(randomPairs(work, step), work.microBatchTokens);
    const reference = new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
    finish(policy.masters);
    const startedMs = performance.now();
    const result = withoutPause(
      trainingStep(policy, optimiser, {
        ...{ batches, reference, activations },
        objective: {
          preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
          exploration: { kind: 'selm', alpha: 0.001 },
        },
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
  return {
    secondsPerStep: seconds / steps,
    tokensPerSecond: tokens / seconds,
    pairsPerSecond: (work.pairs * steps) / seconds,
    firstPreferenceLoss,
    utilisation: (flopsPerToken * tokens) / seconds / peaks.flops,
    activations,
    peakTensorBytes: deviceMemory(work.device)?.peakBytes ?? memoryStatistics().peakTensorBytes,
  };
}

/** Waits for the device: one number of one weight is read. */
function finish(weights: ReadonlyMap<string, Tensor>): void {
  const norm = [...weights.values()].find(({ shape }) => shape.length === 1) ?? [...weights.values()][0];
  if (norm !== undefined)
    scope('wait', () => void toFloat32Array(noGrad(() => to_dtype(narrow(norm, 0, 0, 1), 'float32'))));
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

/**
 * Bytes that a step of decoding reads: every weight of a product once, two bytes each, and the keys and values of all tokens before the
 * new one, of every sequence. `contextTokens` is their mean number. What is written, and what lies between products, is not counted.
 */
export function bytesPerStep(
  config: ModelConfig,
  { batch, contextTokens }: { batch: number; contextTokens: number },
): number {
  const perToken = 2 * config.layers * config.keyValueHeads * config.headSize * 2;
  return 2 * productWeights(config) + batch * contextTokens * perToken;
}

/** What decoding measured. */
export interface DecodingResult extends Record<string, number | string> {
  batch: number;
  tokensPerSecond: number;
  millisecondsPerStep: number;
  /** Bytes of bytesPerStep a second, of what the memory can give. */
  bandwidthShare: number;
  /** What sampling said of graphs: none where it had them. */
  notices: string;
}

/** Responses of `batch` prompts at once, each of newTokens. */
export async function decode(
  work: Workload,
  { batch, peaks }: { batch: number; peaks: Peaks },
): Promise<DecodingResult> {
  const { config, newTokens, promptTokens } = work;
  return withSampler(work, async (sample, notices) => {
    const run = async (count: number, name: string): Promise<number> =>
      (await sample({ name, prompts: batch, promptTokens, newTokens: count })).seconds;
    // Prompts and the first token are in both, so that the difference is decoding alone.
    await run(2, 'warm-up');
    const short = await run(1, 'short');
    const seconds = Math.max(1e-9, (await run(newTokens, 'long')) - short);
    const steps = newTokens - 1;
    const bytes = bytesPerStep(config, { batch, contextTokens: promptTokens + newTokens / 2 });
    return {
      batch,
      tokensPerSecond: (batch * steps) / seconds,
      millisecondsPerStep: (1000 * seconds) / steps,
      bandwidthShare: (bytes * steps) / seconds / peaks.bytesPerSecond,
      notices: notices.join('; ') || 'none',
    };
  });
}

/** What graphs of the decoding step change. */
export interface GraphsResult extends Record<string, number | string> {
  batch: number;
  /** Responses whose tokens are the same with graphs as without: all of them, or a graph computes something else. */
  sameResponses: number;
  millisecondsPerStepWithout: number;
  millisecondsPerStepWith: number;
  /** What sampling said of graphs: none where it had them. */
  notices: string;
}

/** The same responses without graphs and with them, each twice: the faster counts. */
export async function graphs(work: Workload, { batch }: { batch: number }): Promise<GraphsResult> {
  const { newTokens, promptTokens } = work;
  const whole = { name: 'graphs', prompts: batch, promptTokens };
  return withSampler(work, async (sample, notices) => {
    const setting = process.env.SELM_GRAPHS;
    const runs = { off: [] as Sampled[], on: [] as Sampled[] };
    try {
      await sample({ ...whole, newTokens: 2 });
      const { seconds: short } = await sample({ ...whole, newTokens: 1 });
      for (const which of ['off', 'on', 'off', 'on'] as const) {
        process.env.SELM_GRAPHS = which;
        runs[which].push(await sample({ ...whole, newTokens }));
      }
      const perStep = (found: readonly Sampled[]): number =>
        (1000 * (Math.min(...found.map(({ seconds }) => seconds)) - short)) / (newTokens - 1);
      const expected = runs.off[0]?.responses ?? new Map<string, string>();
      const same = [...expected].filter(([id, tokens]) =>
        runs.on.every(({ responses }) => responses.get(id) === tokens),
      );
      return {
        batch,
        sameResponses: same.length,
        millisecondsPerStepWithout: perStep(runs.off),
        millisecondsPerStepWith: perStep(runs.on),
        notices: notices.join('; ') || 'none',
      };
    } finally {
      if (setting === undefined) delete process.env.SELM_GRAPHS;
      else process.env.SELM_GRAPHS = setting;
    }
  });
}

/** What prefilling, or the reference's pass, measured. */
export interface ForwardResult extends Record<string, number | string> {
  tokensPerSecond: number;
  /** Two operations for each token and weight of a product that it meets, a second, of the peak; attention is not counted. */
  utilisation: number;
}

/** Prompts read for their first token: the head sees only the last token of each. */
export async function prefill(
  work: Workload,
  { prompts, peaks }: { prompts: number; peaks: Peaks },
): Promise<ForwardResult> {
  const { config, prefillTokens } = work;
  return withSampler(work, async (sample) => {
    const run = async (name: string): Promise<number> =>
      (await sample({ name, prompts, promptTokens: prefillTokens, newTokens: 1 })).seconds;
    await run('warm-up');
    const tokensPerSecond = (prompts * prefillTokens) / (await run('timed'));
    const blocks = productWeights(config) - config.vocabularySize * config.hiddenSize;
    return { tokensPerSecond, utilisation: (2 * blocks * tokensPerSecond) / peaks.flops };
  });
}

/** A step's pairs scored as the reference scores them. */
export function score(work: Workload, { peaks }: { peaks: Peaks }): ForwardResult {
  const { config, device, steps } = work;
  const weights = randomWeights(config, device);
  using policy = openPolicy({ config, weights }, { dtype: 'bfloat16', purpose: 'score', frozen: 'in-place' });
  disposeAll(weights);
  const pass = (step: number): number => {
    const batches = microBatches(randomPairs(work, step), work.microBatchTokens);
    for (const batch of batches) scoreTrees(policy, batch);
    return batches.reduce((sum, batch) => sum + batch.ids_T.length, 0);
  };
  pass(0);
  const startedMs = performance.now();
  let tokens = 0;
  for (let step = 1; step <= steps; step++) tokens += pass(step);
  const tokensPerSecond = (1000 * tokens) / (performance.now() - startedMs);
  return { tokensPerSecond, utilisation: (2 * productWeights(config) * tokensPerSecond) / peaks.flops };
}

type Sampling = { name: string; prompts: number; promptTokens: number; newTokens: number };

/** How long a sampling took, and the tokens of each response by its prompt. */
interface Sampled {
  seconds: number;
  responses: Map<string, string>;
}

/** A sampler of random weights for as long as `body` runs; `notices` are those of all samplings. */
async function withSampler<T>(
  { config, device }: Workload,
  body: (sample: (sampling: Sampling) => Promise<Sampled>, notices: readonly string[]) => Promise<T>,
): Promise<T> {
  const weights = randomWeights(config, device);
  const sampler = openSampler({ config, weights }, { dtype: 'bfloat16' });
  disposeAll(weights);
  const notices: string[] = [];
  try {
    return await body(async ({ name, prompts, promptTokens, newTokens }) => {
      const requests = Array.from({ length: prompts }, (_, index) => ({
        promptId: `${name}-${index}`,
        promptIds: Array.from({ length: promptTokens }, (_, i) => (i * 31 + index * 7) % config.vocabularySize),
        samples: [{ sampleIndex: 0, key: randomKey(1, name, index) }],
      }));
      const settings = { temperature: 1, topP: 1, topK: 0, maxNewTokens: newTokens, stopIds: [], batchSize: prompts };
      const onNotice = (notice: string): void => {
        if (!notices.includes(notice)) notices.push(notice);
      };
      const responses = new Map<string, string>();
      const startedMs = performance.now();
      for await (const { promptId, tokenIds } of generate(sampler, requests, { ...settings, onNotice }))
        responses.set(promptId, tokenIds.join());
      return { seconds: (performance.now() - startedMs) / 1000, responses };
    }, notices);
  } finally {
    sampler.dispose();
  }
}
