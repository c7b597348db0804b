/** @file The scores of a run's models by one measure, item by item, from its ledger: what a choice among them rests on. */
import type { ScoresByIteration } from '../evaluate/selection.ts';
import { type ByPrompt, byPrompt, mean } from '../evaluate/statistics.ts';
import { mainScores } from './benchmark-scores.ts';
import type { Ledger } from './ledger.ts';
import { evaluationsOf, measuredScores } from './measured.ts';

/**
 * Scores by iteration, 0 is the base. `reward`: the held-out rewards of a prompt. `win-rate`: the share of wins over the base on a prompt,
 * a tie one half. Else the usual metric of the benchmark of that name.
 */
export function scoresBy(ledger: Ledger, measure: string): ScoresByIteration {
  switch (measure) {
    case 'reward':
      return heldOutRewards(ledger);
    case 'win-rate':
      return winShares(heldOutRewards(ledger));
    default:
      return benchmarkScores(ledger, measure);
  }
}

function heldOutRewards(ledger: Ledger): Map<number, ByPrompt> {
  return new Map(
    [...evaluationsOf(ledger)].map(([iteration, { data }]) => [iteration, byPrompt(data.promptIds, data.rewards)]),
  );
}

function winShares(rewards: ReadonlyMap<number, ByPrompt>): Map<number, ByPrompt> {
  const base = rewards.get(0);
  if (base === undefined) return new Map();
  const shareOf = (own: readonly number[], theirs: readonly number[]): number =>
    mean(own.flatMap((a) => theirs.map((b) => (Math.sign(a - b) + 1) / 2)));
  return new Map(
    [...rewards].map(([iteration, scores]): [number, ByPrompt] => [
      iteration,
      new Map(
        [...scores].flatMap(([promptId, own]): [string, number[]][] => {
          const theirs = base.get(promptId);
          // The base is never better than itself.
          return theirs === undefined ? [] : [[promptId, [iteration === 0 ? 0.5 : shareOf(own, theirs)]]];
        }),
      ),
    ]),
  );
}

function benchmarkScores(ledger: Ledger, measure: string): Map<number, ByPrompt> {
  const name = measure.replaceAll('-', '_');
  return new Map(
    [...measuredScores(ledger)].flatMap(([iteration, scores]): [number, ByPrompt][] => {
      const found = scores.find(({ benchmark }) => benchmark === name);
      return found === undefined ? [] : [[iteration, mainScores(found)]];
    }),
  );
}
