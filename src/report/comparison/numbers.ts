/**
 * @file The numbers of a comparison: every model over its seeds, and every arm against the baseline, paired by prompt and by
 * seed. Pure.
 *
 * Two things vary: which prompts were drawn, and which seeds. Intervals of a model are over prompts, each prompt's reward
 * being the mean over seeds. An arm is better than the baseline only if both tests say so: that of the prompts (signs
 * flipped) and, with several seeds, that of the seeds (Student's). The larger p of the two counts (an intersection-union
 * test, Berger 1982), corrected by Holm for the number of arms.
 */
import { holm, type StudentTest, signFlipTest, studentTest } from '../../evaluate/paired-tests.ts';
import {
  type ByPrompt,
  bootstrapMean,
  byPrompt,
  FEWEST_PROMPTS,
  type Interval,
  mean,
  pooledByPrompt,
  winShares,
} from '../../evaluate/statistics.ts';
import { mainScores } from '../../store/benchmark-scores.ts';
import type { Evaluation } from '../../store/evaluations.ts';
import type { ComparedArm, ComparedRun, ComparisonData } from './comparison-data.ts';

/** Largest corrected p-value of a winner. */
export const SIGNIFICANCE = 0.05;

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

/** An arm against the baseline, each at its own last iteration. */
export interface ArmComparison {
  arm: string;
  label: string;
  baseline: string;
  baselineLabel: string;
  /** In mean reward, over prompts; `count` is the number of prompts. */
  difference: Interval;
  /** How often its answer is better than the baseline's, a tie one half. */
  winRate: Interval;
  /** One entry a seed that both have; one for two runs of different seeds. */
  bySeed: { seed: number | null; difference: number }[];
  /** Over seeds; null of a single one. */
  overSeeds: StudentTest | null;
  pPrompts: number;
  /** Exact sign-flip test over seeds: at least 2 / 2^seeds. */
  pSeedsExact: number;
  /** The larger of the prompts' and the seeds' p-values, and the same corrected for the number of arms. */
  p: number;
  pCorrected: number;
  side: 'above' | 'below' | 'undecided' | 'too few';
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

function rewardsOf(evaluation: Evaluation): Map<string, number[]> {
  return byPromptOf(evaluation, evaluation.data.rewards);
}

/** Wins and half of the ties, by prompt. */
function winRates(ours: ByPrompt, theirs: ByPrompt): Map<string, number[]> {
  return new Map([...winShares(ours, theirs)].map(([promptId, { wins, ties }]) => [promptId, [wins + ties / 2]]));
}

function pooled(runs: readonly ByPrompt[], seed: number): Pooled {
  const interval = bootstrapMean([...pooledByPrompt(runs).values()], seed);
  return { ...interval, bySeed: runs.map((run) => mean([...run.values()].map(mean))) };
}

/** Every other arm against the baseline, corrected for how many there are; in the order of the arms. */
export function armComparisons({ arms, baseline: name, statisticsSeed }: ComparisonData): ArmComparison[] {
  const baseline = arms.find((arm) => arm.name === name);
  if (baseline === undefined) return [];
  const found = arms
    .filter((arm) => arm !== baseline)
    .flatMap((arm) => compareArms(arm, baseline, statisticsSeed) ?? []);
  const corrected = holm(found.map(({ p }) => p));
  return found.map((comparison, index) => {
    const pCorrected = corrected[index] ?? 1;
    return { ...comparison, pCorrected, side: sideOf(comparison.difference, pCorrected) };
  });
}

function sideOf({ count, value }: Interval, pCorrected: number): ArmComparison['side'] {
  if (count < FEWEST_PROMPTS) return 'too few';
  if (pCorrected >= SIGNIFICANCE || value === 0) return 'undecided';
  return value > 0 ? 'above' : 'below';
}

/** Null where the two have no runs to pair: no seed in common, and more than one run. */
function compareArms(
  arm: ComparedArm,
  baseline: ComparedArm,
  seed: number,
): Omit<ArmComparison, 'pCorrected' | 'side'> | null {
  const pairs = runPairs(arm, baseline).flatMap(({ seed: own, ours, theirs }) => {
    const [our, their] = [lastOf(ours), lastOf(theirs)];
    return our === null || their === null ? [] : [{ seed: own, ours: rewardsOf(our), theirs: rewardsOf(their) }];
  });
  if (pairs.length === 0) return null;
  const differences = pairs.map(({ ours, theirs }) => differenceByPrompt(ours, theirs));
  const byPromptId = [...pooledByPrompt(differences).values()];
  const bySeed = pairs.map((pair, index) => ({
    seed: pair.seed,
    difference: mean([...(differences[index] ?? new Map<string, number[]>()).values()].map(mean)),
  }));
  const seedDifferences = bySeed.map(({ difference }) => difference);
  const overSeeds = studentTest(seedDifferences);
  const pPrompts = signFlipTest(byPromptId, seed);
  const wins = pooledByPrompt(pairs.map(({ ours, theirs }) => winRates(ours, theirs)));
  return {
    arm: arm.name,
    label: arm.label,
    baseline: baseline.name,
    baselineLabel: baseline.label,
    difference: bootstrapMean(byPromptId, seed),
    winRate: bootstrapMean([...wins.values()], seed),
    bySeed,
    overSeeds,
    pPrompts,
    pSeedsExact: signFlipTest(seedDifferences, seed),
    p: Math.max(pPrompts, overSeeds?.p ?? 0),
  };
}

/** Runs of the same seed; without one in common, a single run of each. */
function runPairs(
  { runs }: ComparedArm,
  baseline: ComparedArm,
): { seed: number | null; ours: ComparedRun; theirs: ComparedRun }[] {
  const pairs = runs.flatMap((ours) => {
    const theirs = baseline.runs.find(({ seed }) => seed === ours.seed);
    return theirs === undefined ? [] : [{ seed: ours.seed, ours, theirs }];
  });
  const [ours, theirs] = [runs[0], baseline.runs[0]];
  if (pairs.length > 0 || runs.length !== 1 || baseline.runs.length !== 1) return pairs;
  return ours === undefined || theirs === undefined ? [] : [{ seed: null, ours, theirs }];
}

/** The last trained model that was measured. */
export function lastOf({ evaluations }: ComparedRun): Evaluation | null {
  const last = Math.max(0, ...evaluations.keys());
  return last === 0 ? null : (evaluations.get(last) ?? null);
}

function differenceByPrompt(ours: ByPrompt, theirs: ByPrompt): Map<string, number[]> {
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
