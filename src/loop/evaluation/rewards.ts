/**
 * @file The rewards of held-out answers: the ranker's scores, or for a ranker whose scores hold among the candidates of one
 * prompt only, the margin of each answer over the base's answer to the same prompt.
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

/** The reward of each answer, by key, and how many questions got no verdict. */
export async function rewardAnswers(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  answers: readonly Answer[],
): Promise<{ rewards: Map<string, number>; problems: number }> {
  const { ranker, iteration } = context;
  if (ranker.gives !== 'scores' && iteration === 0) {
    return { rewards: new Map(answers.map((each) => [answerKey(each), 0])), problems: 0 };
  }
  const questions = ranker.gives === 'scores' ? byPrompt(rows, answers) : againstBase(context, answers);
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

/** Each answer against the base's answer to the same prompt, drawn with the same random numbers. */
function againstBase({ ledger }: IterationContext, answers: readonly Answer[]): Question[] {
  const base = ledger.record(0, 'evaluation');
  const baseAnswers = new Map<string, string[]>();
  for (const { promptId, text } of base?.answers ?? [])
    baseAnswers.set(promptId, [...(baseAnswers.get(promptId) ?? []), text]);
  return answers.flatMap((each) => {
    const text = baseAnswers.get(each.promptId)?.[each.sampleIndex];
    if (text === undefined) return [];
    const candidates = [candidateOf(each), candidateOf({ sampleIndex: each.sampleIndex, text })];
    return [{ item: { promptId: answerKey(each), prompt: each.row.prompt, candidates }, keys: [answerKey(each)] }];
  });
}
