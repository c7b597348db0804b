/** @file What a run measured of its models, as numbers for trackers: means over held-out prompts, and the usual metric of each benchmark. */
import { mean } from '../evaluate/statistics.ts';
import type { Ledger } from '../store/ledger.ts';
import { evaluationsOf, measuredScores } from '../store/measured.ts';
import { scoresBy } from '../store/measures.ts';

/** One iteration's model, 0 the base, by its measures: `reward`, `win_rate`, `length`, `kl`, `gsm8k` ... */
export interface MeasuredValues {
  iteration: number;
  values: Readonly<Record<string, number>>;
}

/** Everything that the ledger has, in the order of the iterations. Numbers may be NaN. */
export function measuredValues(ledger: Ledger): MeasuredValues[] {
  const found = new Map<number, Record<string, number>>();
  const add = (iteration: number, values: Record<string, number>): void => {
    found.set(iteration, { ...found.get(iteration), ...values });
  };
  const wins = scoresBy(ledger, 'win-rate');
  for (const [iteration, { data }] of evaluationsOf(ledger)) {
    const shares = iteration === 0 ? undefined : wins.get(iteration);
    add(iteration, {
      reward: mean(data.rewards),
      length: mean(data.lengths),
      ...(data.klToBase === null ? {} : { kl: data.klToBase.value }),
      ...(shares === undefined ? {} : { win_rate: mean([...shares.values()].map((scores) => mean(scores))) }),
    });
  }
  for (const [iteration, scores] of measuredScores(ledger))
    for (const { benchmark, metrics, mainMetric } of scores)
      add(iteration, { [benchmark]: metrics[mainMetric]?.value ?? Number.NaN });
  return [...found].map(([iteration, values]) => ({ iteration, values })).sort((a, b) => a.iteration - b.iteration);
}
