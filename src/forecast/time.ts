/**
 * @file How long a recipe will take, stage by stage: tokens through the model, times its products a token, at this
 * machine's measured rates. Estimates: nothing is fitted, and rankers, files and the interpreter are not in them. Pure.
 */
import {
  gradientsOfAPair,
  measuresExploration,
  planExploration,
  scoringsOfAPair,
} from '../loop/stages/explore-plan.ts';
import type { ModelConfig } from '../model/config.ts';
import { EMBEDDING, expectedWeights, headName } from '../model/weights.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { chooseActivations } from '../train/activations.ts';
import type { BenchmarkFacts } from './benchmarks.ts';
import { parameterCount, type TokenFacts } from './cost.ts';
import type { IterationPlan } from './plan.ts';

/** What this machine does: products in the types of training and of sampling, and memory read and written. */
export interface MachineRates {
  trainFlops: number;
  sampleFlops: number;
  bytesPerSecond: number;
}

/** What the time depends on, beside the recipe and its plan. */
export interface TimeFacts {
  config: ModelConfig;
  tokens: TokenFacts;
  rates: MachineRates;
  /** Held-out prompts; null where their number is not known. */
  heldOut: number | null;
  benchmarks: readonly BenchmarkFacts[];
  /** Tokens of the conversations of a fine-tuning that comes first, and those of them that are learned; null without. */
  fineTuning: { tokens: number; scored: number } | null;
}

/** Seconds of each stage that computes. */
export interface IterationCost {
  iteration: number;
  sampledTokens: number;
  /** Tokens through the model in training, over all steps: prompts once, what is shared once. */
  trainedTokens: number;
  sampleSeconds: number;
  /** Fitting an explicit reward model, and ranking with it. */
  rewardModelSeconds: number;
  referenceSeconds: number;
  trainSeconds: number;
  exploreSeconds: number;
  evaluateSeconds: number;
  benchmarkSeconds: number;
}

export interface TimeForecast {
  iterations: IterationCost[];
  /** Before the first iteration. */
  fineTuneSeconds: number;
  evaluateBaseSeconds: number;
  benchmarkBaseSeconds: number;
  /** Of everything, a twin included. */
  totalSeconds: number;
}

/** Tokens through the model, as its cost depends on them. */
interface Pass {
  tokens: number;
  /** Those whose next token is scored or drawn: the head's share. */
  scored: number;
}

/** Tokens and seconds of each iteration, of what comes before, and of all. */
export function timeOf(recipe: Recipe, facts: TimeFacts, plans: readonly IterationPlan[]): TimeForecast {
  const { config, tokens, rates } = facts;
  const { training, sampling, objective, evaluate, rewardModel } = recipe;
  const explores = objective.exploration.kind !== 'none';
  /** Forward passes that one pass forward and backward costs. */
  const gradientPasses = chooseActivations(training, config) === 'recompute' ? 4 : 3;
  const headFlops = 2 * config.vocabularySize * config.hiddenSize;
  const blockFlops = 2 * blockParameters(config);
  const attentionFlops = 4 * config.layers * config.heads * config.headSize; // a token, for each token it attends to
  const weightBytes = parameterCount(config) * (sampling.dtype === 'float32' ? 4 : 2);
  const context = (tokens.prompt + tokens.response) / 2;
  const flopsOf = ({ tokens: count, scored }: Pass): number =>
    count * (blockFlops + attentionFlops * context) + scored * headFlops;

  /** One prefill of a prompt for all its samples; the samples cost a forward pass a token, or reading the weights. */
  const sampleSeconds = (prompts: number, samples: number, tokensOfASample: number): number => {
    const sampled = prompts * samples * tokensOfASample;
    const flops = flopsOf({ tokens: prompts * tokens.prompt + sampled, scored: sampled });
    const decodeSteps = ((prompts * samples) / sampling.batchSize) * tokensOfASample;
    const readSeconds = (decodeSteps * weightBytes) / rates.bytesPerSecond;
    return Math.max(flops / rates.sampleFlops, readSeconds);
  };

  /** Answers to the held-out prompts, and their log-probabilities under `others` models where KL is measured. */
  const evaluateSeconds = (others: number): number => {
    const prompts = facts.heldOut ?? 0;
    const answer = Math.min(tokens.sampled, evaluate.maxNewTokens ?? Number.POSITIVE_INFINITY);
    const measuresKl = evaluate.temperature === 1 && sampling.topP >= 1 && sampling.topK === 0;
    const answers = prompts * evaluate.samples;
    const scoring = flopsOf({ tokens: answers * (tokens.prompt + answer), scored: answers * answer });
    return sampleSeconds(prompts, evaluate.samples, answer) + (measuresKl ? (others * scoring) / rates.sampleFlops : 0);
  };

  /** One model on the benchmarks: prompts and choices once, and answers, taken as long as they may be. */
  const benchmarkSeconds = facts.benchmarks.reduce((sum, { tokens: asked }) => {
    if (asked === null) return sum;
    const { read, generated } = asked;
    const decodeSteps = generated / (evaluate.benchmarks?.batchSize ?? 1);
    const answering = flopsOf({ tokens: generated, scored: generated }) / rates.sampleFlops;
    const reading = flopsOf({ tokens: read, scored: 0 }) / rates.trainFlops;
    return sum + reading + Math.max(answering, (decodeSteps * weightBytes) / rates.bytesPerSecond);
  }, 0);

  const rewardModelSeconds = ({ iteration, slice, candidates }: IterationPlan): number => {
    if (rewardModel === null || iteration === 0) return 0;
    const prompts = slice.end - slice.start;
    const labels = Math.min(rewardModel.labels, prompts);
    const compared = tokens.prompt + 2 * tokens.response;
    const explored = prompts * (tokens.prompt + sampling.samples * tokens.sampled) + 2 * labels * tokens.response;
    const fitted = (iteration - 1) * labels * compared + (rewardModel.alpha > 0 ? explored : labels * compared);
    const ranked = prompts * candidates * (tokens.prompt + tokens.response);
    return (
      (rewardModel.epochs * gradientPasses * flopsOf({ tokens: fitted, scored: 0 })) / rates.trainFlops +
      flopsOf({ tokens: ranked, scored: 0 }) / rates.sampleFlops
    );
  };

  const iterations = plans.map((plan): IterationCost => {
    const { iteration, responses, candidates, pairs, schedule } = plan;
    // y is neither chosen nor rejected in (n - 2) / n of the prompts if all orders are alike; then it is a third sequence.
    const third = explores && iteration > 0 && candidates > 2 ? (candidates - 2) / candidates : 0;
    const scored = tokens.response * (2 + third);
    const perPair = tokens.prompt + scored;
    const pairSeconds = flopsOf({ tokens: perPair, scored }) / rates.trainFlops;
    const used = Math.min(pairs * training.epochs, schedule.totalSteps * training.batchSize);
    const prompts = responses / Math.max(1, sampling.samples + sampling.referenceSamples);
    const measured =
      iteration === 0 || !measuresExploration(recipe)
        ? { scored: 0, differentiated: 0 }
        : planExploration(Array(Math.min(evaluate.explorationPrompts, Math.round(pairs))).fill(perPair), {
            trained: used * perPair,
            explores,
          });
    const passes =
      measured.scored * scoringsOfAPair({ explores }) +
      measured.differentiated * gradientsOfAPair({ explores }) * gradientPasses;
    return {
      iteration,
      sampledTokens: responses * tokens.sampled,
      trainedTokens: used * perPair,
      // What a server takes nobody knows here.
      sampleSeconds:
        recipe.sampler.kind === 'own' ? sampleSeconds(prompts, responses / Math.max(1, prompts), tokens.sampled) : 0,
      rewardModelSeconds: rewardModelSeconds(plan),
      referenceSeconds: pairs * pairSeconds,
      trainSeconds: used * pairSeconds * gradientPasses,
      exploreSeconds: passes * pairSeconds,
      evaluateSeconds: evaluateSeconds(iteration === 0 ? 0 : 2),
      benchmarkSeconds: iteration === 0 ? 0 : benchmarkSeconds,
    };
  });
  const evaluateBaseSeconds = evaluateSeconds(0);
  const benchmarkBaseSeconds = evaluate.benchmarks?.base === true ? benchmarkSeconds : 0;
  const { fineTuning } = facts;
  const fineTuneSeconds =
    fineTuning === null || recipe.sft === null
      ? 0
      : ((recipe.sft.training.epochs * gradientPasses + labelPasses(recipe.sft)) * flopsOf(fineTuning)) /
        rates.trainFlops;
  const before = evaluateBaseSeconds + benchmarkBaseSeconds;
  const runSeconds = iterations.reduce((sum, each) => sum + secondsOf(each), before);
  return {
    iterations,
    fineTuneSeconds,
    evaluateBaseSeconds,
    benchmarkBaseSeconds,
    totalSeconds: fineTuneSeconds + runSeconds * (evaluate.twin ? 2 : 1),
  };
}

/** Forward passes that labels need beside training: the reference once over every response, and the mismatched ones of both. */
function labelPasses({ objective, training }: SftRecipe): number {
  if (objective.kind === 'likelihood') return 0;
  return objective.baseline === 'none' ? 1 : 1 + 2 * training.epochs;
}

/** Of all stages of an iteration. */
export function secondsOf(cost: IterationCost): number {
  return (
    cost.sampleSeconds +
    cost.rewardModelSeconds +
    cost.referenceSeconds +
    cost.trainSeconds +
    cost.exploreSeconds +
    cost.evaluateSeconds +
    cost.benchmarkSeconds
  );
}

/** Weights of the products that every token goes through: the blocks, without embedding and head. */
function blockParameters(config: ModelConfig): number {
  let count = 0;
  for (const [name, shape] of expectedWeights(config)) {
    if (shape.length === 2 && name !== EMBEDDING && name !== headName(config))
      count += (shape[0] ?? 0) * (shape[1] ?? 0);
  }
  return count;
}
