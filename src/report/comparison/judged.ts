/** @file What judges said of the models in their runs, over the seeds: AlpacaEval's win rates over its baseline, MT-Bench's ratings. Pure. */
import { rateOver } from '../../evaluate/alpaca/fitted-model.ts';
import { bootstrapMean, type Interval, pooledByPrompt } from '../../evaluate/statistics.ts';
import type { ComparedRun, ComparisonData } from './comparison-data.ts';
import { baseRuns, type ModelNumbers } from './numbers.ts';

/** Null where it was not measured. Intervals are over instructions or questions, each the mean over the seeds. */
export interface JudgedNumbers {
  /** Shares over AlpacaEval's baseline, and code points of the outputs. */
  winRate: Interval | null;
  lengthControlled: Interval | null;
  characters: Interval | null;
  /** MT-Bench's ratings from 1 to 10. */
  turn1: Interval | null;
  turn2: Interval | null;
  average: Interval | null;
}

/** The numbers of one model of the comparison. */
export function judgedNumbers(
  { arms, statisticsSeed }: ComparisonData,
  { arm, label, iteration }: Pick<ModelNumbers, 'arm' | 'label' | 'iteration'>,
): JudgedNumbers {
  const own = arms.find(({ name }) => name === arm)?.runs;
  const runs = own ?? baseRuns(arms).find((base) => base.label === label)?.runs ?? [];
  const of = (benchmark: string, metric: string): Interval | null => {
    const bySeed = runs.map((run) => scoresOf(run, { iteration, benchmark, metric }));
    const pooled = [...pooledByPrompt(bySeed).values()];
    return pooled.length === 0 ? null : bootstrapMean(pooled, statisticsSeed);
  };
  const fits = runs.flatMap((run) => run.fits.get(iteration) ?? []);
  const isOneBasis = new Set(fits.map(({ basis }) => basis)).size === 1;
  return {
    winRate: of('alpaca_eval', 'win_rate'),
    lengthControlled: isOneBasis ? rateOver(fits.map((model) => ({ model, against: null }))) : null,
    characters: of('alpaca_eval', 'length'),
    turn1: of('mt_bench', 'turn1'),
    turn2: of('mt_bench', 'turn2'),
    average: of('mt_bench', 'average'),
  };
}

/** A run's scores by item. */
function scoresOf(
  { benchmarks }: ComparedRun,
  { iteration, benchmark, metric }: { iteration: number; benchmark: string; metric: string },
): Map<string, number[]> {
  const found = benchmarks
    .find((each) => each.iteration === iteration)
    ?.scores.find((scores) => scores.benchmark === benchmark);
  const values = found?.scores[metric] ?? [];
  return new Map(
    (found?.lines ?? []).flatMap((line, place): [string, number[]][] => {
      const value = values[place] ?? Number.NaN;
      return Number.isNaN(value) ? [] : [[String(line), [value]]];
    }),
  );
}
