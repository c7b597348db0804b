/** @file What a ranker said in an iteration, as comparisons: its best over its worst of each prompt. */
import { rankedPairs } from '../../rank/pairing.ts';
import type { RankItem } from '../../rank/ranker.ts';
import type { IterationContext } from './stage.ts';

/** Two texts to one prompt, the better one first. */
export interface Comparison {
  chosen: string;
  rejected: string;
}

/** Best over worst of each prompt that the ranker judged in an iteration, by prompt id. */
export function comparisonsOf(
  { ledger, ranker }: Pick<IterationContext, 'ledger' | 'ranker'>,
  iteration: number,
): Map<string, Comparison> {
  const found = new Map<string, Comparison>();
  for (const ranking of ledger.rankings(iteration).filter(({ rankerId }) => rankerId === ranker.id)) {
    // The rule reads the candidates alone.
    const item: RankItem = { ...ranking, prompt: { kind: 'text', text: '' }, candidates: [...ranking.candidates] };
    const [pair] = rankedPairs(item, ranking, 'best-and-worst');
    if (pair?.kind === 'pair') found.set(ranking.promptId, { chosen: pair.chosen.text, rejected: pair.rejected.text });
  }
  return found;
}
