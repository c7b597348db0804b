/**
 * @file How long a recipe will take, stage by stage: operations of the tokens that go through the model, at the rates that such work
 * has on this machine. Estimates: nothing is fitted, and rankers and files are not in them. Pure.
 */
import {
  gradientsOfAPair,
  measuresExploration,
  planExploration,
  scoringsOfAPair,
} from '../loop/stages/explore-plan.ts';
import type { ModelConfig } from '../model/config.ts';
import { epochsAt } from '../recipe/iterations.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { chooseActivations } from '../train/activations.ts';
import type { BenchmarkFacts } from './benchmarks.ts';
import type { TokenFacts } from './cost.ts';
import { operationsOf, type Pass } from './operations.ts';
import type { IterationPlan } from './plan.ts';
import { countsOf } from './shares.ts';

/** Operations a second that this machine reaches in each kind of work on such a model (src/forecast/rates.ts measures them). */
export interface WorkRates {
  /** Forward and backward. */
  train: number;
  /** Forward alone: log-probabilities of texts. */
  score: number;
  /** Prompts of samples. */
  prefill: number;
  /** Tokens of samples, as many at once as the recipe has. */
  decode: number;
  /** Weights a second that the optimiser changes. */
  update: number;
  /** Where that was, with how many compute threads, and how many there are. */
  device: string;
  threads: number;
  processors: number;
}

/** Forward passes that a pass forward and backward counts as: three, and one more where activations are computed again. */
export function passesOfGradient(training: Recipe['training'], config: ModelConfig): 3 | 4 {
  return chooseActivations(training, config) === 'recompute' ? 4 : 3;
}

/** Models that an iteration's policy is compared with by KL: the base and the policy before, which may be the same. */
function othersMeasured({ warmStart }: Recipe, iteration: number): number {
  if (iteration === 0) return 0;
  return iteration === 1 && warmStart !== 'dpo' ? 1 : 2;
}

/** What the time depends on, beside the recipe and its plan. */
export interface TimeFacts {
  config: ModelConfig;
  tokens: TokenFacts;
  rates: WorkRates;
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

/** Tokens and seconds of each iteration, of what comes before, and of all. */
export function timeOf(recipe: Recipe, facts: TimeFacts, plans: readonly IterationPlan[]): TimeForecast {
  const { config, tokens, rates } = facts;
  const { training, sampling, objective, evaluate, rewardModel } = recipe;
  const explores = objective.exploration.kind !== 'none';
  const trainedWeights = countsOf({ config, training }).trained;
  const context = (tokens.prompt + tokens.response) / 2;
  const gradientPasses = passesOfGradient(training, config);
  const operations = (pass: Pass): number => operationsOf(config, pass, context);
  const scoringSeconds = (pass: Pass): number => operations(pass) / rates.score;
  const gradientSeconds = (pass: Pass): number => (gradientPasses * operations(pass)) / rates.train;

  /** One prefill of a prompt for all its samples, and their tokens. */
  const sampleSeconds = (prompts: number, samples: number, tokensOfASample: number): number => {
    const sampled = prompts * samples * tokensOfASample;
    const read = operations({ tokens: prompts * tokens.prompt, scored: prompts });
    return read / rates.prefill + operations({ tokens: sampled, scored: sampled }) / rates.decode;
  };

  /** Answers to the held-out prompts, and their log-probabilities under `others` models where KL is measured. */
  const evaluateSeconds = (others: number): number => {
    const prompts = facts.heldOut ?? 0;
    const answer = Math.min(tokens.sampled, evaluate.maxNewTokens ?? Number.POSITIVE_INFINITY);
    const measuresKl = evaluate.temperature === 1 && sampling.topP >= 1 && sampling.topK === 0;
    const answers = prompts * evaluate.samples;
    const scoring = scoringSeconds({ tokens: answers * (tokens.prompt + answer), scored: answers * answer });
    return sampleSeconds(prompts, evaluate.samples, answer) + (measuresKl ? others * scoring : 0);
  };

  /** One model on the benchmarks: prompts and choices once, and answers, taken as long as they may be. */
  const benchmarkSeconds = facts.benchmarks.reduce((sum, { tokens: asked }) => {
    if (asked === null) return sum;
    const { read, generated } = asked;
    const answering = operations({ tokens: generated, scored: generated }) / rates.decode;
    return sum + scoringSeconds({ tokens: read, scored: 0 }) + answering;
  }, 0);

  const rewardModelSeconds = ({ iteration, slice, candidates, asked }: IterationPlan): number => {
    if (rewardModel === null || iteration === 0) return 0;
    const prompts = slice.end - slice.start;
    const labels = Math.min(rewardModel.labels ?? asked, prompts);
    const compared = tokens.prompt + 2 * tokens.response;
    const explored = prompts * (tokens.prompt + sampling.samples * tokens.sampled) + 2 * labels * tokens.response;
    const fitted = (iteration - 1) * labels * compared + (rewardModel.alpha > 0 ? explored : labels * compared);
    const ranked = prompts * candidates * (tokens.prompt + tokens.response);
    return (
      rewardModel.epochs * gradientSeconds({ tokens: fitted, scored: 0 }) +
      scoringSeconds({ tokens: ranked, scored: 0 })
    );
  };

  const iterations = plans.map((plan): IterationCost => {
    const { iteration, responses, candidates, pairs, schedule } = plan;
    // y is neither chosen nor rejected in (n - 2) / n of the prompts if all orders are alike; then it is a third sequence.
    const third = explores && iteration > 0 && candidates > 2 ? (candidates - 2) / candidates : 0;
    const scored = tokens.response * (2 + third);
    const perPair = tokens.prompt + scored;
    const pair = { tokens: perPair, scored };
    const used = Math.min(pairs * epochsAt(training.epochs, iteration), schedule.totalSteps * training.batchSize);
    const prompts = responses / Math.max(1, sampling.samples + sampling.referenceSamples);
    const measured =
      iteration === 0 || !measuresExploration(recipe)
        ? { scored: 0, differentiated: 0 }
        : planExploration(Array(Math.min(evaluate.explorationPrompts, Math.round(pairs))).fill(perPair), {
            trained: used * perPair,
            explores,
          });
    return {
      iteration,
      sampledTokens: responses * tokens.sampled,
      trainedTokens: used * perPair,
      // What a server takes nobody knows here.
      sampleSeconds:
        recipe.sampler.kind === 'own' ? sampleSeconds(prompts, responses / Math.max(1, prompts), tokens.sampled) : 0,
      rewardModelSeconds: rewardModelSeconds(plan),
      referenceSeconds: pairs * scoringSeconds(pair),
      trainSeconds: used * gradientSeconds(pair) + schedule.totalSteps * (trainedWeights / rates.update),
      exploreSeconds:
        measured.scored * scoringsOfAPair({ explores }) * scoringSeconds(pair) +
        measured.differentiated * gradientsOfAPair({ explores }) * gradientSeconds(pair),
      evaluateSeconds: evaluateSeconds(othersMeasured(recipe, iteration)),
      benchmarkSeconds: iteration === 0 ? 0 : benchmarkSeconds,
    };
  });
  const evaluateBaseSeconds = evaluateSeconds(0);
  const benchmarkBaseSeconds = evaluate.benchmarks?.base === true ? benchmarkSeconds : 0;
  const { fineTuning } = facts;
  const fineTuneSeconds =
    fineTuning === null || recipe.sft === null
      ? 0
      : recipe.sft.training.epochs * gradientSeconds(fineTuning) + labelPasses(recipe.sft) * scoringSeconds(fineTuning);
  const before = evaluateBaseSeconds + benchmarkBaseSeconds;
  const runSeconds = iterations.reduce((sum, each) => sum + secondsOf(each), before);
  return {
    iterations,
    fineTuneSeconds,
    evaluateBaseSeconds,
    benchmarkBaseSeconds,
    totalSeconds: fineTuneSeconds + runSeconds * timesWithTwin(recipe, rates),
  };
}

/** How many times as long a run takes with its twin: beside it no longer than alone where both have processors of their own. */
function timesWithTwin(
  { evaluate: { twin } }: Recipe,
  { device, threads, processors }: Pick<WorkRates, 'device' | 'threads' | 'processors'>,
): number {
  switch (twin) {
    case false:
      return 1;
    case true:
      return 2;
    case 'beside':
      // A card is shared.
      return device === 'cpu' ? Math.max(1, (2 * threads) / processors) : 2;
  }
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
