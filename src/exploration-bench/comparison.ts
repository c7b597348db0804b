/**
 * @file What a benchmark found: every method against the baseline, paired by seed, with intervals and with p-values
 * that are corrected for the number of methods. Pure.
 */
import { holm, signFlipTest, studentTest } from '../evaluate/paired-tests.ts';
import { mean } from '../evaluate/statistics.ts';
import type { CellResults } from './cells.ts';
import type { Point, RunResult, TextMeasure } from './run.ts';

/** One run in numbers. Gain is the reward on a scale where the base policy has 0 and the best policy of the world 1. */
export interface RunScore {
  /** Gain of the policy that stood while labels were asked, averaged over the labels: what the run was worth on its way. */
  readonly area: number;
  /** Gain of the last policy. */
  readonly end: number;
  /** Regret a label, in gain. */
  readonly regret: number;
  /** The last policy's probability of the rare answers, its KL to the base and its entropy in nats. */
  readonly rareShare: number;
  readonly klToBase: number;
  readonly entropy: number | null;
  /** Labels until the gain was a half; null where it never was. */
  readonly labelsToHalf: number | null;
  readonly sampled: number;
  /** Of policies that write texts. */
  readonly text: TextScore | null;
}

/** What is known of a run whose policies write texts. */
export interface TextScore {
  /** As `area`, averaged over the budget of sampled tokens instead; and the tokens that the run sampled. */
  readonly areaByTokens: number;
  readonly tokens: number;
  /** Of the last policy. */
  readonly distinct2: number;
  readonly soundness: number | null;
  /** What it scores on benchmarks more than the base, by their names: below 0 it is the alignment tax. */
  readonly onBenchmarks: Readonly<Record<string, number>>;
}

/** What a benchmark of any kind has in common: who meets whom, and how much each may ask. */
export interface ComparedGrid {
  readonly seeds: readonly number[];
  readonly baseline: string;
  readonly worlds: readonly { readonly name: string; readonly budget: ScoreBudget }[];
  readonly methods: readonly { readonly name: string }[];
}

/** The labels, and where tokens are counted the tokens, over which a run's reward is averaged. */
export interface ScoreBudget {
  readonly labels: number;
  readonly tokens?: number;
}

/** A method in one world, over its seeds. */
export interface MethodInWorld {
  readonly world: string;
  readonly method: string;
  readonly scores: readonly RunScore[];
  /** Share of the seeds whose last policy is worth less than the base. */
  readonly collapsed: number;
  /** Of the seeds whose last policy has the rare answers less than half of the time: what became of them. */
  readonly unfound: Unfound;
  /** Minus the baseline's area, by seed; null of the baseline itself. */
  readonly difference: Difference | null;
}

/** Seeds without the rare answers at the end, by the first reason that holds. */
export interface Unfound {
  readonly neverSampled: number;
  readonly neverChosen: number;
  readonly outLearned: number;
}

/** A mean difference over seeds with its 95 % interval and the p-value after Holm's correction. */
export interface Difference {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly corrected: number;
}

/** A method over all worlds: each seed's mean over the worlds. */
export interface MethodOverall {
  readonly method: string;
  /** Seeds that have a run of it and of the baseline in every world. */
  readonly seeds: number;
  readonly area: number;
  readonly end: number;
  readonly collapsed: number;
  /** Minus the baseline's area. */
  readonly difference: Difference | null;
  /** Minus the baseline's end; its p is corrected like that of the area, by itself. */
  readonly endDifference: Difference | null;
  /** Worlds where it is surely better or worse than the baseline, after the correction over all worlds and methods. */
  readonly better: number;
  readonly worse: number;
}

export interface BenchComparison {
  readonly overall: readonly MethodOverall[];
  readonly inWorlds: readonly MethodInWorld[];
}

/** Results by world, then in the order of the grid's seeds. */
export type ResultsByWorld = ReadonlyMap<string, readonly CellResults[]>;

/** Scores of a run. */
export function scoreRun({ points, best, regret }: RunResult, budget: ScoreBudget): RunScore {
  const [base, last] = [points[0], points.at(-1)];
  if (base === undefined || last === undefined) throw new Error('A run begins with the base policy');
  const scale = best - base.reward;
  const gain = ({ reward }: Point): number => (reward - base.reward) / scale;
  const curve = points.map((point) => ({ at: point.labels, gain: gain(point) }));
  return {
    area: areaUnder(curve, budget.labels),
    end: gain(last),
    regret: regret / scale / Math.max(1, last.labels),
    rareShare: last.rareShare,
    klToBase: last.klToBase,
    entropy: last.entropy,
    labelsToHalf: points.find((point) => gain(point) >= 0.5)?.labels ?? null,
    sampled: last.sampled,
    text: last.text === undefined ? null : textScore(points, last.text, gain, budget),
  };
}

function textScore(
  points: readonly Point[],
  { tokens, distinct2, soundness, benchmarks = {} }: TextMeasure,
  gain: (point: Point) => number,
  budget: ScoreBudget,
): TextScore {
  const before = points[0]?.text?.benchmarks ?? {};
  const curve = points.map((point) => ({ at: point.text?.tokens ?? 0, gain: gain(point) }));
  return {
    areaByTokens: areaUnder(curve, budget.tokens ?? tokens),
    tokens,
    distinct2,
    soundness,
    onBenchmarks: Object.fromEntries(
      Object.entries(benchmarks).flatMap(([name, score]) => {
        const base = before[name];
        return base === undefined ? [] : [[name, score - base]];
      }),
    ),
  };
}

/** Mean gain while a budget is spent: each policy stands until the next is there, the last one to the end of the budget. */
function areaUnder(curve: readonly { at: number; gain: number }[], budget: number): number {
  const total = curve.reduce((sum, { at, gain }, index) => {
    const next = index + 1 < curve.length ? Math.min(curve[index + 1]?.at ?? budget, budget) : budget;
    return sum + Math.max(0, next - at) * gain;
  }, 0);
  return total / budget;
}

/** Compares the methods of a benchmark that have a result; seeds that a method has no result of are left out. */
export function compareMethods(wholeGrid: ComparedGrid, results: ResultsByWorld): BenchComparison {
  const grid = withoutUntried(wholeGrid, results);
  const scored = grid.worlds.flatMap(({ name: world, budget }) =>
    grid.methods.map(({ name: method }) => {
      const runs = (results.get(world) ?? []).map((cell) => cell[method] ?? null);
      return { world, method, runs, scores: runs.map((run) => (run === null ? null : scoreRun(run, budget))) };
    }),
  );
  const scoresOf = (world: string, method: string): readonly (RunScore | null)[] =>
    scored.find((each) => each.world === world && each.method === method)?.scores ?? [];
  const minusBaseline: MinusBaseline = (world, method, which) => {
    const theirs = scoresOf(world, grid.baseline);
    return scoresOf(world, method).map((own, seed) => minus(own?.[which], theirs[seed]?.[which]));
  };
  const others = scored.filter(({ method }) => method !== grid.baseline);
  const tests = others.map(({ world, method }) => testOf(minusBaseline(world, method, 'area')));
  const corrected = holm(tests.map(({ p }) => p));
  const differences = new Map(
    others.map(({ world, method }, index) => [`${world}\n${method}`, withP(tests[index], corrected[index])]),
  );
  const inWorlds = scored.map(({ world, method, runs, scores }): MethodInWorld => {
    const present = scores.flatMap((score) => (score === null ? [] : [score]));
    return {
      world,
      method,
      scores: present,
      collapsed: mean(present.map(({ end }) => (end < 0 ? 1 : 0))),
      unfound: unfoundOf(runs),
      difference: differences.get(`${world}\n${method}`) ?? null,
    };
  });
  return { inWorlds, overall: overallOf(grid, inWorlds, minusBaseline) };
}

/** The grid without methods that have no result in any world: there is nothing to show of them, and nothing to correct for. */
function withoutUntried(grid: ComparedGrid, results: ResultsByWorld): ComparedGrid {
  const tried = new Set([...results.values()].flat().flatMap((cell) => Object.keys(cell)));
  return { ...grid, methods: grid.methods.filter(({ name }) => name === grid.baseline || tried.has(name)) };
}

/** A method's number minus the baseline's in a world, by seed; null where one of the two is not there. */
type MinusBaseline = (world: string, method: string, which: 'area' | 'end') => (number | null)[];

function overallOf(
  grid: ComparedGrid,
  inWorlds: readonly MethodInWorld[],
  minusBaseline: MinusBaseline,
): MethodOverall[] {
  const area = overWorlds(grid, minusBaseline, 'area');
  const end = overWorlds(grid, minusBaseline, 'end');
  return grid.methods.map(({ name: method }, index) => {
    const own = inWorlds.filter((each) => each.method === method);
    const surely = (sign: number): number =>
      own.filter(({ difference }) => difference !== null && difference.corrected < 0.05 && sign * difference.value > 0)
        .length;
    return {
      method,
      seeds: area[index]?.seeds ?? 0,
      area: mean(own.map(({ scores }) => mean(scores.map((score) => score.area)))),
      end: mean(own.map(({ scores }) => mean(scores.map((score) => score.end)))),
      collapsed: mean(own.map(({ collapsed }) => collapsed)),
      difference: area[index]?.difference ?? null,
      endDifference: end[index]?.difference ?? null,
      better: surely(1),
      worse: surely(-1),
    };
  });
}

/** Each method's mean difference over the worlds, over the seeds that have a run of both in every world. */
function overWorlds(
  grid: ComparedGrid,
  minusBaseline: MinusBaseline,
  which: 'area' | 'end',
): { seeds: number; difference: Difference | null }[] {
  const bySeed = grid.methods.map(({ name: method }) => {
    const byWorld = grid.worlds.map(({ name }) => minusBaseline(name, method, which));
    return grid.seeds.flatMap((_, seed) => {
      const values = byWorld.flatMap((world) => world[seed] ?? []);
      return values.length === grid.worlds.length ? [mean(values)] : [];
    });
  });
  const tests = bySeed.map(testOf);
  const others = grid.methods.map(({ name }) => name !== grid.baseline);
  const corrected = holm(tests.filter((_, index) => others[index]).map(({ p }) => p));
  let next = 0;
  return bySeed.map(({ length: seeds }, index) => ({
    seeds,
    difference: others[index] === true ? withP(tests[index], corrected[next++]) : null,
  }));
}

interface Test {
  value: number;
  low: number;
  high: number;
  p: number;
}

/** Student's interval of the mean, and the sign-flip test's p: the test assumes no normal differences. */
function testOf(values: readonly (number | null)[]): Test {
  const differences = values.flatMap((value) => value ?? []);
  const student = studentTest(differences);
  if (student === null) return { value: Number.NaN, low: Number.NaN, high: Number.NaN, p: 1 };
  return { value: student.value, low: student.low, high: student.high, p: signFlipTest(differences, 1) };
}

function withP(test: Test | undefined, corrected: number | undefined): Difference | null {
  if (test === undefined) return null;
  return { value: test.value, low: test.low, high: test.high, corrected: corrected ?? 1 };
}

function minus(ours: number | undefined, theirs: number | undefined): number | null {
  return ours === undefined || theirs === undefined ? null : ours - theirs;
}

/** Why runs ended without the rare answers. */
function unfoundOf(runs: readonly (RunResult | null)[]): Unfound {
  const without = runs.flatMap((run) => (run !== null && (run.points.at(-1)?.rareShare ?? 0) < 0.5 ? [run.rare] : []));
  const neverSampled = without.filter(({ sampled }) => sampled === 0).length;
  const neverChosen = without.filter(({ sampled, chosen }) => sampled > 0 && chosen === 0).length;
  return { neverSampled, neverChosen, outLearned: without.length - neverSampled - neverChosen };
}
