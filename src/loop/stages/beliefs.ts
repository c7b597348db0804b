/**
 * @file What is believed of the answers to some prompts before the ranker is asked: by the live policy's implicit reward, by reward
 * models learned from the labels so far, or by another ranker's verdicts.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { learnedRewardTokens } from '../../rank/model/learned-reward.ts';
import type { RankItem } from '../../rank/ranker.ts';
import { rewardsOf } from '../../rank/win-probability.ts';
import type { TokenTree } from '../../score/trees.ts';
import { believe, type Described, type Label, learnLabels, newEnsemble } from '../../select/ensemble.ts';
import { addComparison, byInformation, noInformation } from '../../select/information.ts';
import type { Belief } from '../../select/rule.ts';
import type { RankingRecord } from '../../store/ledger-rows.ts';
import { modelSha256 } from '../model-hash.ts';
import { comparisonsOf } from './comparisons.ts';
import { describeTogether } from './describing.ts';
import { loadOrScoreReference } from './reference.ts';
import type { IterationContext } from './stage.ts';

/** Beliefs about the different texts of each prompt, in their order, by prompt id. */
export type Beliefs = ReadonlyMap<string, readonly Belief[]>;

/** A prompt and the texts that beliefs are about. */
export interface Answers extends Pick<RankItem, 'promptId' | 'prompt'> {
  texts: readonly string[];
}

/** The different texts of an item, in the order of its candidates. */
export function textsOf({ candidates }: Pick<RankItem, 'candidates'>): string[] {
  return [...new Set(candidates.map(({ text }) => text))];
}

/** No doubt, and nothing known: every answer is worth the same. */
export function noBeliefs(prompts: readonly Answers[]): Beliefs {
  return new Map(prompts.map(({ promptId, texts }) => [promptId, texts.map(() => sure(0))]));
}

/**
 * beta (log pi(y|x) - log pi_0(y|x)) of each answer, pi the policy that sampled and pi_0 the model before the first iteration: the
 * reward that the policy is the best one for (DPO, Eq. 5). In the first iteration all are 0.
 */
export async function policyBeliefs(
  context: IterationContext,
  prompts: readonly Answers[],
  policyDirectory: string,
): Promise<Beliefs> {
  const { recipe } = context;
  if (policyDirectory === recipe.model) return noBeliefs(prompts);
  const trees = prompts.map((prompt) => treeOf(context, prompt));
  const silent = { started: () => {}, advanced: () => {} };
  const under = async (referenceDirectory: string) => {
    const referenceSha256 = await modelSha256(referenceDirectory);
    return loadOrScoreReference(context, { referenceDirectory, referenceSha256, steps: [trees] }, silent);
  };
  const [policy, initial] = [await under(policyDirectory), await under(recipe.model)];
  const { beta } = recipe.objective.preference;
  return new Map(
    prompts.map(({ promptId, texts }) => [
      promptId,
      texts.map((_, i) => sure(beta * ((policy.get(promptId)?.[i] ?? 0) - (initial.get(promptId)?.[i] ?? 0)))),
    ]),
  );
}

/** Answers as numbers: those that were compared in earlier iterations, two after two with the winner first, then those of this one. */
export interface DescribedAnswers extends Described {
  /** Comparisons of earlier iterations; comparison i is of the answers 2 i and 2 i + 1. */
  compared: number;
  /** Places of each prompt's texts, by prompt id. */
  places: ReadonlyMap<string, readonly number[]>;
}

/** Describes answers, and those that the ranker compared before, by their mean last hidden state under the model before the first iteration. */
export async function describeAnswers(
  context: IterationContext,
  prompts: readonly Answers[],
  earlierRows: readonly PreferenceRow[],
): Promise<DescribedAnswers> {
  const { recipe, iteration } = context;
  const promptOf = new Map(earlierRows.map(({ promptId, prompt }) => [promptId, prompt]));
  const compared = Array.from({ length: iteration - 1 }, (_, i) => i + 1).flatMap((t) =>
    [...comparisonsOf(context, t)].flatMap(([promptId, { chosen, rejected }]) => {
      const prompt = promptOf.get(promptId);
      return prompt === undefined ? [] : [{ promptId: `${t}/${promptId}`, prompt, texts: [chosen, rejected] }];
    }),
  );
  const all = [...compared, ...prompts];
  const trees = all.map((answers) => treeOf(context, answers));
  const found = new Map<string, Float64Array[]>();
  for await (const described of describeTogether(context, trees, recipe.model)) {
    for (const [promptId, rows] of described) found.set(promptId, rows);
  }
  const rows = all.flatMap(({ promptId }) => found.get(promptId) ?? []);
  let next = 2 * compared.length;
  const places = new Map(prompts.map(({ promptId, texts }) => [promptId, texts.map(() => next++)]));
  return { ...standardised(rows), compared: compared.length, places };
}

/** Two described answers that were compared, by their places, the winner first. */
export type ComparedPlaces = readonly [winner: number, loser: number];

/**
 * Every comparison so far: those of earlier iterations, and those that this one has already.
 *
 * @param now the winner and the loser of prompts of this iteration, as indices of their texts
 */
export function comparedPlaces(
  { compared, places }: DescribedAnswers,
  now: ReadonlyMap<string, readonly [winner: number, loser: number]>,
): ComparedPlaces[] {
  const earlier = Array.from({ length: compared }, (_, index) => [2 * index, 2 * index + 1] as const);
  const latest = [...now].flatMap(([promptId, [winner, loser]]): ComparedPlaces[] => {
    const own = places.get(promptId) ?? [];
    const [won, lost] = [own[winner], own[loser]];
    return won === undefined || lost === undefined ? [] : [[won, lost]];
  });
  return [...earlier, ...latest];
}

/** What ten linear reward models say of each answer (src/select/ensemble.ts), which learned from comparisons. */
export function learnedBeliefs(answers: DescribedAnswers, compared: readonly ComparedPlaces[], seed: number): Beliefs {
  const ensemble = newEnsemble(answers, seed);
  const labels = compared.map(([winner, loser]): Label => ({ winner, loser }));
  learnLabels(answers, ensemble, labels);
  return new Map(
    [...answers.places].map(([promptId, places]) => [promptId, believe(answers, ensemble, places)] as const),
  );
}

/** What a prompt's most informative comparison is, as indices of its texts, and what it tells, in nats. */
export interface Telling {
  pair: readonly [number, number];
  nats: number;
}

/**
 * What each prompt's comparison tells beside those that were made and those of the prompts that tell more (src/select/information.ts).
 *
 * @param options.compared what was compared before; nothing is asked about those prompts again
 * @param options.open prompts that may still be asked about, with the one comparison of each that may be, as indices of its texts;
 *   null: the best of all
 */
export function tellingComparisons(
  answers: DescribedAnswers,
  {
    compared,
    open,
  }: { compared: readonly ComparedPlaces[]; open: ReadonlyMap<string, readonly [number, number] | null> },
): ReadonlyMap<string, Telling> {
  const information = noInformation(answers);
  for (const pair of compared) addComparison(information, answers, pair);
  const prompts = [...answers.places].filter(([promptId, places]) => open.has(promptId) && places.length > 1);
  const questions = prompts.map(([promptId, places]) => {
    const [first = 0] = places;
    const only = open.get(promptId) ?? null;
    return only === null
      ? places.flatMap((a, at) => places.slice(at + 1).map((b) => [a, b] as const))
      : [[first + only[0], first + only[1]] as const];
  });
  return new Map(
    byInformation(information, answers, questions).flatMap(({ question, pair: [a, b], nats }) => {
      const [promptId, [first = 0] = []] = prompts[question] ?? [];
      return promptId === undefined ? [] : [[promptId, { pair: [a - first, b - first] as const, nats }] as const];
    }),
  );
}

/** Rewards by another ranker's verdicts: their differences are its log-odds. Of a prompt without a verdict nothing is known. */
export function verdictBeliefs(prompts: readonly Answers[], rankings: ReadonlyMap<string, RankingRecord>): Beliefs {
  return new Map(
    prompts.map(({ promptId, texts }) => {
      const ranking = rankings.get(promptId);
      if (ranking === undefined || ranking.problem !== undefined) return [promptId, texts.map(() => sure(0))];
      const { candidates } = ranking;
      const rewards = rewardsOf(candidates, ranking);
      return [promptId, texts.map((text) => sure(rewards[candidates.findIndex((each) => each.text === text)] ?? 0))];
    }),
  );
}

function sure(mean: number): Belief {
  return { mean, lower: mean, upper: mean };
}

/** Spread of rewards that is expected before any label: two answers are then 80:20 on average. */
const PRIOR_SPREAD = 2;

/** Every number with mean 0 and variance 1 over all answers, and divided so that the squares of an answer add up to 4 on average. */
function standardised(rows: readonly Float64Array[]): { width: number; features: Float64Array } {
  const width = rows[0]?.length ?? 0;
  const features = new Float64Array(rows.length * width);
  for (let f = 0; f < width; f++) {
    const mean = rows.reduce((sum, row) => sum + (row[f] ?? 0), 0) / rows.length;
    const variance = rows.reduce((sum, row) => sum + ((row[f] ?? 0) - mean) ** 2, 0) / rows.length;
    const scale = variance > 0 ? PRIOR_SPREAD / Math.sqrt(variance * width) : 0;
    for (const [index, row] of rows.entries()) features[index * width + f] = ((row[f] ?? 0) - mean) * scale;
  }
  return { width, features };
}

/** A prompt's texts as a tree, as a reward model of the loop reads them. */
function treeOf({ tokenizer, recipe }: IterationContext, { promptId, prompt, texts }: Answers): TokenTree {
  const { promptIds, responses } = learnedRewardTokens(tokenizer, { prompt, responses: texts }, recipe.text);
  return {
    pairId: promptId,
    promptIds: Int32Array.from(promptIds),
    continuations: responses.map((ids) => Int32Array.from(ids)),
  };
}
