/**
 * @file What is believed of the answers to some prompts before the ranker is asked: by the live policy's implicit reward, by reward
 * models learned from the labels so far, or by another ranker's verdicts.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { learnedRewardTokens } from '../../rank/model/learned-reward.ts';
import type { RankItem } from '../../rank/ranker.ts';
import type { TokenTree } from '../../score/trees.ts';
import { believe, type Label, learnLabels, newEnsemble } from '../../select/ensemble.ts';
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

/**
 * What ten linear reward models say of each answer (src/select/ensemble.ts). They read its mean last hidden state under the model
 * before the first iteration, and learned from what the ranker said in earlier iterations.
 */
export async function learnedBeliefs(
  context: IterationContext,
  prompts: readonly Answers[],
  earlierRows: readonly PreferenceRow[],
): Promise<Beliefs> {
  const { recipe, iteration } = context;
  const promptOf = new Map(earlierRows.map(({ promptId, prompt }) => [promptId, prompt]));
  const labelled = Array.from({ length: iteration - 1 }, (_, i) => i + 1).flatMap((t) =>
    [...comparisonsOf(context, t)].flatMap(([promptId, { chosen, rejected }]) => {
      const prompt = promptOf.get(promptId);
      return prompt === undefined ? [] : [{ promptId: `${t}/${promptId}`, prompt, texts: [chosen, rejected] }];
    }),
  );
  const all = [...labelled, ...prompts];
  const trees = all.map((answers) => treeOf(context, answers));
  const found = new Map<string, Float64Array[]>();
  for await (const described of describeTogether(context, trees, recipe.model)) {
    for (const [promptId, rows] of described) found.set(promptId, rows);
  }
  const rows = all.flatMap(({ promptId }) => found.get(promptId) ?? []);
  const described = standardised(rows);
  const ensemble = newEnsemble(described, recipe.seed);
  const labels = labelled.map((_, index): Label => ({ winner: 2 * index, loser: 2 * index + 1 }));
  learnLabels(described, ensemble, labels);
  let next = 2 * labelled.length;
  return new Map(
    prompts.map(({ promptId, texts }) => {
      const places = texts.map(() => next++);
      return [promptId, believe(described, ensemble, places)];
    }),
  );
}

/** The scores of another ranker's verdicts, or where it only orders the places; a prompt without a verdict is not known. */
export function verdictBeliefs(prompts: readonly Answers[], rankings: ReadonlyMap<string, RankingRecord>): Beliefs {
  return new Map(
    prompts.map(({ promptId, texts }) => {
      const ranking = rankings.get(promptId);
      if (ranking === undefined || ranking.problem !== undefined) return [promptId, texts.map(() => sure(0))];
      const { candidates, scores, order } = ranking;
      const rewardOf = (text: string): number => {
        const index = candidates.findIndex((each) => each.text === text);
        return scores === null ? -order.indexOf(index) : (scores[index] ?? 0);
      };
      return [promptId, texts.map((text) => sure(rewardOf(text)))];
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
