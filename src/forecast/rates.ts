/**
 * @file How fast this machine does a recipe's own work, in seconds: pairs and samples of the recipe's lengths, on a model of its
 * shape with fewer layers and words. The rates hold all that such work is, products, attention and the interpreter.
 */

import type { ModelConfig } from '../model/config.ts';
import { expectedWeights } from '../model/weights.ts';
import { randomKey } from '../random.ts';
import { ruleNeeds } from '../rank/pairing.ts';
import type { Recipe } from '../recipe/schema.ts';
import { threadsOf } from '../recipe/threads.ts';
import { generate } from '../sample/generate.ts';
import { openSampler } from '../sample/sampler.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { openPolicy } from '../score/policy.ts';
import { buildTree, type PairTree } from '../score/trees.ts';
import { chooseDevice } from '../torch/device.ts';
import type { Dtype } from '../torch/dtype.ts';
import { setThreads, threadCount } from '../torch/native.ts';
import { full } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { chooseActivations } from '../train/activations.ts';
import { openOptimiser, updateWeights } from '../train/optimiser.ts';
import { withoutPause } from '../train/pausing.ts';
import { stepGradients } from '../train/step.ts';
import type { TokenFacts } from './cost.ts';
import { blockWeights, operationsOf, type Pass } from './operations.ts';
import { countsOf } from './shares.ts';
import { passesOfGradient, type WorkRates } from './time.ts';

/** What the trial is of. */
export interface TrialFacts {
  config: ModelConfig;
  tokens: TokenFacts;
  /** Sequences that are sampled at once. */
  together: number;
}

/** Most weights of a trial's blocks, of its embedding, and of one block. */
const MOST_WEIGHTS = 24e6;
const MOST_IN_BLOCK = 48e6;
/** Most tokens of its pairs in all. */
const MOST_TOKENS = 512;
/** Most tokens of the prompts that it samples from, or more where reading them takes no more operations than this. */
const MOST_PROMPT_TOKENS = 1024;
const MOST_PROMPT_OPERATIONS = 2e10;
/** Tokens that it decodes of each sample. */
const DECODED = 4;
/** Each work is done once to warm up, then again for this long. */
const SECONDS = 0.3;

/** The same blocks, fewer of them, with fewer words; a block of billions is made narrower inside. */
export function cutModel(config: ModelConfig): ModelConfig {
  const { hiddenSize, intermediateSize } = config;
  const outside = blockWeights(config) - 3 * hiddenSize * intermediateSize;
  const roomInside = Math.floor((MOST_IN_BLOCK - outside) / (3 * hiddenSize) / 64) * 64;
  const inside = Math.min(intermediateSize, Math.max(64, roomInside));
  const room = Math.floor(MOST_WEIGHTS / (outside + 3 * hiddenSize * inside));
  const layers = Math.max(1, Math.min(config.layers, room));
  return {
    ...config,
    intermediateSize: inside,
    layers,
    layerAttention: config.layerAttention.slice(0, layers),
    vocabularySize: Math.max(64, Math.min(config.vocabularySize, Math.floor(MOST_WEIGHTS / hiddenSize))),
  };
}

/** The rates of a recipe's work, with the threads that its run will have. Takes seconds. */
export async function measureRates(recipe: Recipe, facts: TrialFacts): Promise<WorkRates> {
  const config = cutModel(facts.config);
  // A recipe for a card is planned on machines without one, too.
  const { device } = chooseDevice({ device: recipe.device === 'cpu' ? 'cpu' : 'auto' });
  const dtype = storedDtype(config);
  const processors = threadCount();
  const threads = setThreads(threadsOf(recipe, processors));
  const weights = outlive(scope('trial weights', () => trialWeights(config, { dtype, device })));
  try {
    const model = { config, weights };
    return {
      device,
      threads,
      processors,
      ...(await trainingRates(recipe, model, facts.tokens)),
      ...(await samplingRates(recipe, model, facts)),
    };
  } finally {
    disposeAll(weights);
    setThreads(processors);
  }
}

/** As the model says that it lies on disk: what is stored in bf16 is read otherwise. */
function storedDtype({ raw: { fields } }: ModelConfig): Dtype {
  return (fields.dtype ?? fields.torch_dtype) === 'bfloat16' ? 'bfloat16' : 'float32';
}

/** Their values do not matter to the time, as long as nothing overflows. */
function trialWeights(config: ModelConfig, options: { dtype: Dtype; device: string }): Map<string, Tensor> {
  return new Map([...expectedWeights(config)].map(([name, shape]) => [name, full(shape, 0.02, options)]));
}

interface TrialModel {
  config: ModelConfig;
  weights: ReadonlyMap<string, Tensor>;
}

/** Pairs as long as the recipe's, shorter where they are long, and as many as a micro-batch and a step have room for. */
function trialPairs({ training }: Recipe, { vocabularySize }: ModelConfig, { prompt, response }: TokenFacts) {
  const shrink = Math.min(1, MOST_TOKENS / (prompt + 2 * response));
  const [promptTokens = 1, responseTokens = 1] = [prompt, response].map((tokens) =>
    Math.max(1, Math.round(tokens * shrink)),
  );
  const tokens = promptTokens + 2 * responseTokens;
  const room = Math.floor(Math.min(MOST_TOKENS, training.microBatchTokens) / tokens);
  const ids = (length: number, first: number): Int32Array =>
    Int32Array.from({ length }, (_, i) => (first + i) % vocabularySize);
  const trees = Array.from({ length: Math.max(1, Math.min(training.batchSize, room)) }, (_, pair) =>
    buildTree({
      pairId: String(pair),
      promptIds: ids(promptTokens, 1),
      chosenIds: ids(responseTokens, 2),
      rejectedIds: ids(responseTokens, 3),
      responseIds: null,
    }),
  );
  return { trees, tokens, scored: 2 * responseTokens, context: (promptTokens + responseTokens) / 2 };
}

async function trainingRates(
  recipe: Recipe,
  model: TrialModel,
  tokens: TokenFacts,
): Promise<Pick<WorkRates, 'train' | 'score' | 'update'>> {
  const { config } = model;
  const { training, objective } = recipe;
  const { dtype, states, adapter } = training;
  const lora = adapter.kind === 'lora' ? { settings: adapter, seed: 1 } : null;
  using policy = openPolicy(model, { dtype, states, lora, purpose: 'train' });
  using optimiser = openOptimiser(policy);
  const { trees, context, ...pair } = trialPairs(recipe, config, tokens);
  const batches = microBatches<PairTree>(trees, training.microBatchTokens);
  const scores = () => new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
  const step = {
    batches,
    reference: scores(),
    objective: { preference: objective.preference, exploration: { kind: 'none' } as const },
    activations: chooseActivations(training, config),
  };
  const adamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, learningRate: 1e-9 };
  const operations = operationsOf(config, timesEach(pair, trees.length), context);
  return {
    score: operations / (await bestSeconds(scores)),
    train:
      (operations * passesOfGradient(training, config)) /
      (await bestSeconds(() => withoutPause(stepGradients(policy, step)))),
    update: countsOf({ config, training }).trained / (await bestSeconds(() => updateWeights(policy, optimiser, adamW))),
  };
}

function timesEach({ tokens, scored }: Pass, count: number): Pass {
  return { tokens: tokens * count, scored: scored * count };
}

/** Prompts of a trial as long as a sample is half-way, because decoding reads all that was said; shorter where that is too much to read. */
export function trialPrompts(
  { sampling, update }: Pick<Recipe, 'sampling' | 'update'>,
  { config, tokens, together }: TrialFacts,
): { prompts: number; samples: number; promptTokens: number } {
  const samples = ruleNeeds(update).samples ? Math.min(together, sampling.samples) : 1;
  const prompts = Math.max(1, Math.floor(together / samples));
  const most = Math.max(MOST_PROMPT_TOKENS, MOST_PROMPT_OPERATIONS / (2 * config.layers * blockWeights(config)));
  const halfWay = tokens.prompt + tokens.sampled / 2;
  return { prompts, samples, promptTokens: Math.max(1, Math.round(Math.min(halfWay, most / prompts))) };
}

/** Prefill alone, and prefill with some tokens more: what these take is decoding. */
async function samplingRates(
  recipe: Recipe,
  model: TrialModel,
  facts: TrialFacts,
): Promise<Pick<WorkRates, 'prefill' | 'decode'>> {
  const { config } = model;
  const { sampling } = recipe;
  const { prompts, samples, promptTokens } = trialPrompts(recipe, { ...facts, config });
  const sampler = openSampler(model, { dtype: sampling.dtype });
  const run = async (maxNewTokens: number): Promise<void> => {
    const requests = Array.from({ length: prompts }, (_, prompt) => ({
      promptId: String(prompt),
      promptIds: Array.from({ length: promptTokens }, (_, i) => (prompt + i) % config.vocabularySize),
      samples: Array.from({ length: samples }, (_, sampleIndex) => ({
        sampleIndex,
        key: randomKey(1, prompt, sampleIndex),
      })),
    }));
    const { temperature, topP, topK, batchSize } = sampling;
    const options = { temperature, topP, topK, batchSize, maxNewTokens, stopIds: [] };
    for await (const _ of generate(sampler, requests, options));
  };
  try {
    const prefillSeconds = await bestSeconds(() => run(1));
    const decodeSeconds = Math.max(1e-6, (await bestSeconds(() => run(1 + DECODED))) - prefillSeconds);
    const decoded = DECODED * prompts * samples;
    const read = { tokens: prompts * promptTokens, scored: prompts };
    return {
      prefill: operationsOf(config, read, promptTokens / 2) / prefillSeconds,
      decode: operationsOf(config, { tokens: decoded, scored: decoded }, promptTokens) / decodeSeconds,
    };
  } finally {
    sampler.dispose();
  }
}

/** Seconds of the fastest of several times. */
async function bestSeconds(work: () => unknown): Promise<number> {
  await work();
  let best = Number.POSITIVE_INFINITY;
  const startedMs = performance.now();
  do {
    const beganMs = performance.now();
    await work();
    best = Math.min(best, (performance.now() - beganMs) / 1000);
  } while (performance.now() - startedMs < 1000 * SECONDS);
  return best;
}
