/**
 * @file The rewards of held-out answers. They are the ranker's scores. If these hold only among the candidates of one
 * prompt, the reward of an answer is its margin over the base's answer to the same prompt, and over the previous
 * policy's.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import type { Candidate, RankItem, Ranking, Verdict } from '../../rank/ranker.ts';
import type { IterationContext } from '../stages/stage.ts';
import { type Answer, answerKey } from './answers.ts';

/** An item for the ranker, and the keys of the answers that its verdict is about. */
interface Question {
  item: RankItem;
  keys: string[];
}

const candidateOf = ({ sampleIndex, text }: Pick<Answer, 'sampleIndex' | 'text'>): Candidate => ({
  kind: 'response',
  sampleIndex,
  text,
});

/** Rewards of answers by key, and how many questions got no verdict. */
export interface Rewards {
  rewards: Map<string, number>;
  problems: number;
}

/** The reward of each answer. */
export async function rewardAnswers(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  answers: readonly Answer[],
): Promise<Rewards> {
  const { ranker, iteration } = context;
  if (ranker.gives === 'scores') return ask(context, byPrompt(rows, answers));
  if (iteration === 0) return { rewards: new Map(answers.map((each) => [answerKey(each), 0])), problems: 0 };
  return compareAnswers(context, answers, 0);
}

/**
 * The margin of each answer over the answer of the policy before to the same prompt, from a ranker whose scores hold within an item
 * only; null where the rewards say it: the ranker gives scores, or the policy before is the base.
 */
export async function marginsOverPrevious(
  context: IterationContext,
  answers: readonly Answer[],
): Promise<Rewards | null> {
  const { ranker, iteration, ledger } = context;
  if (ranker.gives === 'scores' || iteration < 2 || ledger.record(iteration - 1, 'evaluation') === null) return null;
  return compareAnswers(context, answers, iteration - 1);
}

/** Each answer against the answer of another policy, drawn with the same random numbers. Equal texts are a tie without asking. */
async function compareAnswers(
  context: IterationContext,
  answers: readonly Answer[],
  otherIteration: number,
): Promise<Rewards> {
  const questions = against(context, answers, otherIteration);
  const isTie = ({ item: { candidates } }: Question): boolean => candidates[0]?.text === candidates[1]?.text;
  const { rewards, problems } = await ask(
    context,
    questions.filter((each) => !isTie(each)),
  );
  for (const { keys } of questions.filter(isTie)) for (const key of keys) rewards.set(key, 0);
  return { rewards, problems };
}

async function ask({ ranker }: IterationContext, questions: readonly Question[]): Promise<Rewards> {
  const keysOf = new Map(questions.map(({ item, keys }) => [item.promptId, keys]));
  const stream = async function* (): AsyncGenerator<RankItem> {
    for (const { item } of questions) yield item;
  };
  const rewards = new Map<string, number>();
  let problems = 0;
  for await (const ranking of ranker.rank(stream())) {
    const keys = ranking.problem === undefined ? (keysOf.get(ranking.promptId) ?? []) : [];
    if (ranking.problem !== undefined) problems += 1;
    for (const [index, key] of keys.entries()) rewards.set(key, rewardOf(ranking, ranker.gives, index));
  }
  return { rewards, problems };
}

/** The ranker's own score; where its scores hold within an item only, the margin of the answer over the base's. */
function rewardOf({ scores, order, ties }: Ranking, gives: Verdict, index: number): number {
  switch (gives) {
    case 'scores':
      return scores?.[index] ?? Number.NaN;
    case 'comparisons':
      return (scores?.[0] ?? Number.NaN) - (scores?.[1] ?? Number.NaN);
    case 'order':
      return ties.length > 0 ? 0 : order[0] === 0 ? 1 : -1;
  }
}

function byPrompt(rows: readonly PreferenceRow[], answers: readonly Answer[]): Question[] {
  return rows.map(({ promptId, prompt }) => {
    const own = answers.filter((each) => each.promptId === promptId);
    return { item: { promptId, prompt, candidates: own.map(candidateOf) }, keys: own.map(answerKey) };
  });
}

function against({ ledger }: IterationContext, answers: readonly Answer[], otherIteration: number): Question[] {
  const others = new Map<string, string[]>();
  for (const { promptId, text } of ledger.record(otherIteration, 'evaluation')?.answers ?? [])
    others.set(promptId, [...(others.get(promptId) ?? []), text]);
  return answers.flatMap((each) => {
    const text = others.get(each.promptId)?.[each.sampleIndex];
    if (text === undefined) return [];
    const candidates = [candidateOf(each), candidateOf({ sampleIndex: each.sampleIndex, text })];
    return [{ item: { promptId: answerKey(each), prompt: each.row.prompt, candidates }, keys: [answerKey(each)] }];
  });
}
