/**
 * @file The numbers of a comparison's models: each over its seeds. Intervals are over prompts (items of a benchmark), each prompt's number
 * being the mean over seeds. What arms differ in is in differences.ts. Pure.
 */
import {
  type ByPrompt,
  bootstrapMean,
  byPrompt,
  type Interval,
  mean,
  pooledByPrompt,
  winShares,
} from '../../evaluate/statistics.ts';
import { mainScores } from '../../store/benchmark-scores.ts';
import type { Evaluation } from '../../store/evaluations.ts';
import type { ComparedArm, ComparedRun, ComparisonData } from './comparison-data.ts';

/** A mean over prompts, and the mean of each seed. */
export interface Pooled extends Interval {
  bySeed: number[];
}

/** One model: an arm after an iteration, over its seeds; iteration 0 is the base. */
export interface ModelNumbers {
  arm: string | null;
  label: string;
  iteration: number;
  /** Runs behind it. */
  seeds: number;
  reward: Pooled;
  /** Against the base, a tie one half; null for the base itself. */
  winRate: Pooled | null;
  length: Pooled;
  /** Nats a response, of each seed. */
  klToBase: number[];
  textHealth: Pooled | null;
  finishedShare: number[];
}

/** A model on a benchmark. */
export interface BenchmarkNumbers {
  benchmark: string;
  title: string;
  shots: number;
  metric: string;
  /** Over items, each the mean over seeds. */
  value: Interval;
  /** Against the base, paired by item; null for the base and where it was not measured. */
  change: Interval | null;
}

export interface BenchmarkRow {
  arm: string | null;
  label: string;
  iteration: number;
  benchmarks: BenchmarkNumbers[];
}

/** The base first (one a base model), then each arm's iterations. */
export function modelNumbers({ arms, statisticsSeed }: ComparisonData): ModelNumbers[] {
  const bases = baseRuns(arms).map(({ label, runs }) =>
    numbersOf(runs, { arm: null, label, iteration: 0 }, statisticsSeed),
  );
  const trained = arms.flatMap((arm) =>
    iterationsOf(arm).map((iteration) =>
      numbersOf(arm.runs, { arm: arm.name, label: arm.label, iteration }, statisticsSeed),
    ),
  );
  return [...bases, ...trained];
}

/** One run a seed for each base model. */
export function baseRuns(arms: readonly ComparedArm[]): { label: string; runs: ComparedRun[] }[] {
  const runs = arms.flatMap((arm) => arm.runs).filter(({ evaluations }) => evaluations.has(0));
  const models = [...new Set(runs.map(({ baseModel }) => baseModel))];
  return models.map((model, index) => {
    const own = runs.filter(({ baseModel }) => baseModel === model);
    const first = [...new Map(own.map((run) => [run.seed, run])).values()];
    return { label: models.length === 1 ? 'base' : `base ${index + 1}`, runs: first };
  });
}

/** Iterations that at least one run of an arm has measured, without the base. */
export function iterationsOf({ runs }: ComparedArm): number[] {
  const all = runs.flatMap(({ evaluations }) => [...evaluations.keys()]);
  return [...new Set(all)].filter((iteration) => iteration > 0).sort((a, b) => a - b);
}

function numbersOf(
  runs: readonly ComparedRun[],
  place: Pick<ModelNumbers, 'arm' | 'label' | 'iteration'>,
  seed: number,
): ModelNumbers {
  const measured = runs.flatMap((run) => {
    const evaluation = run.evaluations.get(place.iteration);
    return evaluation === undefined ? [] : [{ evaluation, base: run.evaluations.get(0) }];
  });
  const all = measured.map(({ evaluation }) => evaluation);
  const health = all.flatMap((each) => (each.data.textHealth === null ? [] : [byPromptOf(each, each.data.textHealth)]));
  const against = measured.flatMap(({ evaluation, base }) =>
    base === undefined || place.iteration === 0 ? [] : [winRates(rewardsOf(evaluation), rewardsOf(base))],
  );
  return {
    ...place,
    seeds: all.length,
    reward: pooled(all.map(rewardsOf), seed),
    winRate: against.length === 0 ? null : pooled(against, seed),
    length: pooled(
      all.map((each) => byPromptOf(each, each.data.lengths)),
      seed,
    ),
    klToBase: all.flatMap(({ data }) => data.klToBase?.value ?? []),
    textHealth: health.length === 0 ? null : pooled(health, seed),
    finishedShare: all.flatMap(({ data }) => data.finishedShare ?? []),
  };
}

function byPromptOf({ data }: Evaluation, values: readonly number[]): Map<string, number[]> {
  return byPrompt(data.promptIds, values);
}

/** Rewards of a measurement by prompt. */
export function rewardsOf(evaluation: Evaluation): Map<string, number[]> {
  return byPromptOf(evaluation, evaluation.data.rewards);
}

/** Wins and half of the ties, by prompt. */
export function winRates(ours: ByPrompt, theirs: ByPrompt): Map<string, number[]> {
  return new Map([...winShares(ours, theirs)].map(([promptId, { wins, ties }]) => [promptId, [wins + ties / 2]]));
}

function pooled(runs: readonly ByPrompt[], seed: number): Pooled {
  const interval = bootstrapMean([...pooledByPrompt(runs).values()], seed);
  return { ...interval, bySeed: runs.map((run) => mean([...run.values()].map(mean))) };
}

/** The last trained model that was measured. */
export function lastOf({ evaluations }: ComparedRun): Evaluation | null {
  const last = Math.max(0, ...evaluations.keys());
  return last === 0 ? null : (evaluations.get(last) ?? null);
}

/** Ours minus theirs, by what both have. */
export function differenceByPrompt(ours: ByPrompt, theirs: ByPrompt): Map<string, number[]> {
  return new Map(
    [...ours].flatMap(([promptId, our]): [string, number[]][] => {
      const their = theirs.get(promptId);
      return their === undefined ? [] : [[promptId, [mean(our) - mean(their)]]];
    }),
  );
}

/** Every model that was measured on benchmarks, in its run or apart from it; empty where none was. */
export function benchmarkRows(data: ComparisonData): BenchmarkRow[] {
  const rows = measuredRows(data);
  for (const { arm, iteration, benchmarks } of data.results) {
    if (benchmarks.length === 0) continue;
    const label = arm === null ? 'base' : (data.arms.find(({ name }) => name === arm)?.label ?? arm);
    const row =
      rows.find((each) => each.arm === arm && each.iteration === iteration) ?? addRow({ arm, label, iteration });
    const isNew = ({ benchmark, shots }: { benchmark: string; shots: number }): boolean =>
      !row.benchmarks.some((each) => each.benchmark === benchmark && each.shots === shots);
    row.benchmarks.push(
      ...benchmarks.filter(isNew).map(({ value, low, high, count, ...kind }) => ({
        ...kind,
        value: { value, low, high, count },
        change: null, // their items are not in the file
      })),
    );
  }
  return rows;

  function addRow(place: Omit<BenchmarkRow, 'benchmarks'>): BenchmarkRow {
    const row = { ...place, benchmarks: [] };
    const before = rows.findLastIndex((each) => each.arm === place.arm && each.iteration < place.iteration);
    if (place.arm === null) rows.unshift(row);
    else if (before >= 0) rows.splice(before + 1, 0, row);
    else rows.push(row);
    return row;
  }
}

function measuredRows({ arms, statisticsSeed: seed }: ComparisonData): BenchmarkRow[] {
  const bases = baseRuns(arms).map(({ label, runs }) => ({ arm: null, label, runs, iterations: [0] }));
  const trained = arms.map((arm) => ({
    arm: arm.name,
    label: arm.label,
    runs: arm.runs,
    iterations: [...new Set(arm.runs.flatMap((run) => run.benchmarks.map(({ iteration }) => iteration)))]
      .filter((iteration) => iteration > 0)
      .sort((a, b) => a - b),
  }));
  return [...bases, ...trained].flatMap(({ arm, label, runs, iterations }) =>
    iterations.flatMap((iteration): BenchmarkRow[] => {
      const benchmarks = benchmarksOf(runs, iteration, seed);
      return benchmarks.length === 0 ? [] : [{ arm, label, iteration, benchmarks }];
    }),
  );
}

function benchmarksOf(runs: readonly ComparedRun[], iteration: number, seed: number): BenchmarkNumbers[] {
  const scoresAt = (run: ComparedRun, which: number) =>
    run.benchmarks.find((each) => each.iteration === which)?.scores ?? [];
  const kinds = new Map(
    runs.flatMap((run) => scoresAt(run, iteration)).map((scores) => [`${scores.benchmark} ${scores.shots}`, scores]),
  );
  return [...kinds.values()].flatMap((kind): BenchmarkNumbers[] => {
    const of = (run: ComparedRun, which: number): Map<string, number[]> | null => {
      const same = scoresAt(run, which).find(
        ({ benchmark, shots }) => benchmark === kind.benchmark && shots === kind.shots,
      );
      return same === undefined ? null : mainScores(same);
    };
    const own = runs.flatMap((run) => of(run, iteration) ?? []);
    const changes = runs.flatMap((run) => {
      const [ours, base] = [of(run, iteration), iteration === 0 ? null : of(run, 0)];
      return ours === null || base === null ? [] : [differenceByPrompt(ours, base)];
    });
    const values = [...pooledByPrompt(own).values()];
    const changed = [...pooledByPrompt(changes).values()];
    if (values.length === 0) return [];
    const { benchmark, title, shots, mainMetric: metric } = kind;
    const change = changed.length === 0 ? null : bootstrapMean(changed, seed);
    return [{ benchmark, title, shots, metric, value: bootstrapMean(values, seed), change }];
  });
}
