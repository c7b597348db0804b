/**
 * @file What the arms of a comparison differ in: every arm against the baseline, in reward and on each benchmark that both were measured on,
 * paired by prompt or item, and by seed. Pure.
 *
 * Two things vary: which prompts were drawn, and which seeds. An arm is better than the baseline only if both tests say so: that of the prompts
 * (signs flipped, which for right and wrong answers is McNemar's) and, with several seeds, that of the seeds (Student's). The larger p
 * of the two counts (an intersection-union test, Berger 1982), corrected by Holm: rewards for the number of arms, benchmarks for
 * the number of arms and benchmarks.
 */
import { holm, type StudentTest, signFlipTest, studentTest } from '../../evaluate/paired-tests.ts';
import {
  type ByPrompt,
  bootstrapMean,
  FEWEST_PROMPTS,
  type Interval,
  mean,
  pooledByPrompt,
} from '../../evaluate/statistics.ts';
import { type BenchmarkScores, mainScores } from '../../store/benchmark-scores.ts';
import type { ComparedArm, ComparedRun, ComparisonData } from './comparison-data.ts';
import { differenceByPrompt, lastOf, rewardsOf, winRates } from './numbers.ts';

/** Largest corrected p-value of a winner. */
export const SIGNIFICANCE = 0.05;

/** Which of two is better; a winner needs enough prompts or items. */
export type Side = 'above' | 'below' | 'undecided' | 'too few';

/** Two arms on the same prompts or items. */
export interface PairedDifference {
  /** In the mean, over prompts; `count` is the number of prompts. */
  difference: Interval;
  /** One entry a seed that both have; one for two runs of different seeds. */
  bySeed: { seed: number | null; difference: number }[];
  /** Over seeds; null of a single one. */
  overSeeds: StudentTest | null;
  pPrompts: number;
  /** Exact sign-flip test over seeds: at least 2 / 2^seeds. */
  pSeedsExact: number;
  /** The larger of the prompts' and the seeds' p-values, and the same corrected for the number of comparisons. */
  p: number;
  pCorrected: number;
  side: Side;
}

/** Who is compared with whom. */
export interface ComparedNames {
  arm: string;
  label: string;
  baseline: string;
  baselineLabel: string;
}

/** An arm against the baseline in reward, each at its own last iteration. */
export interface ArmComparison extends ComparedNames, PairedDifference {
  /** How often its answer is better than the baseline's, a tie one half. */
  winRate: Interval;
}

/** An arm against the baseline on a benchmark, each at the last iteration that was measured on it. */
export interface BenchmarkComparison extends ComparedNames, PairedDifference {
  benchmark: string;
  title: string;
  shots: number;
  metric: string;
  /** Items on which either is better, over all seeds together. */
  better: number;
  worse: number;
}

/** Two runs to compare; the seed is null where they have different ones. */
interface RunPair {
  seed: number | null;
  ours: ComparedRun;
  theirs: ComparedRun;
}

/** The numbers of both runs of a pair, by prompt or item. */
interface ScoredPair {
  seed: number | null;
  ours: ByPrompt;
  theirs: ByPrompt;
}

type Uncorrected<Comparison extends PairedDifference> = Omit<Comparison, 'pCorrected' | 'side'>;

/** Every other arm against the baseline, corrected for how many there are; in the order of the arms. */
export function armComparisons(data: ComparisonData): ArmComparison[] {
  return correct(
    opponents(data).flatMap(({ arm, baseline }): Uncorrected<ArmComparison>[] => {
      const pairs = runPairs(arm, baseline).flatMap(({ seed, ours, theirs }): ScoredPair[] => {
        const [our, their] = [lastOf(ours), lastOf(theirs)];
        return our === null || their === null ? [] : [{ seed, ours: rewardsOf(our), theirs: rewardsOf(their) }];
      });
      if (pairs.length === 0) return [];
      const wins = pooledByPrompt(pairs.map(({ ours, theirs }) => winRates(ours, theirs)));
      const winRate = bootstrapMean([...wins.values()], data.statisticsSeed);
      return [{ ...namesOf(arm, baseline), ...pairedDifference(pairs, data.statisticsSeed), winRate }];
    }),
  );
}

/**
 * Every other arm against the baseline on every benchmark that both have, AlpacaEval and MT-Bench by the same judge among them; by
 * benchmark, then in the order of the arms, corrected for all of them together.
 */
export function benchmarkComparisons(data: ComparisonData): BenchmarkComparison[] {
  const kinds = new Map(
    data.arms
      .flatMap(({ runs }) => runs.flatMap(({ benchmarks }) => benchmarks.flatMap(({ scores }) => scores)))
      .map((scores) => [`${scores.benchmark} ${scores.shots}`, scores]),
  );
  return correct(
    [...kinds.values()].flatMap((kind) =>
      opponents(data).flatMap(({ arm, baseline }): Uncorrected<BenchmarkComparison>[] => {
        const pairs = runPairs(arm, baseline).flatMap((pair) => scoredPair(pair, kind) ?? []);
        if (pairs.length === 0) return [];
        const all = pairs.flatMap(({ ours, theirs }) => [...differenceByPrompt(ours, theirs).values()].map(mean));
        const { benchmark, title, shots, mainMetric: metric } = kind;
        return [
          {
            ...{ benchmark, title, shots, metric },
            ...namesOf(arm, baseline),
            ...pairedDifference(pairs, data.statisticsSeed),
            better: all.filter((difference) => difference > 0).length,
            worse: all.filter((difference) => difference < 0).length,
          },
        ];
      }),
    ),
  );
}

/** The scores of two runs on a benchmark; null where one has none, they rest on other rows or another judge, or share no item. */
function scoredPair({ seed, ours, theirs }: RunPair, kind: BenchmarkScores): ScoredPair | null {
  const lastOn = ({ benchmarks }: ComparedRun): BenchmarkScores | undefined =>
    benchmarks
      .filter(({ iteration }) => iteration > 0)
      .sort((a, b) => b.iteration - a.iteration)
      .flatMap(({ scores }) => scores)
      .find(({ benchmark, shots }) => benchmark === kind.benchmark && shots === kind.shots);
  const [our, their] = [lastOn(ours), lastOn(theirs)];
  if (our === undefined || their === undefined || our.basis !== their.basis) return null;
  const pair = { seed, ours: mainScores(our), theirs: mainScores(their) };
  return differenceByPrompt(pair.ours, pair.theirs).size === 0 ? null : pair;
}

/** The baseline beside each other arm. */
function opponents({ arms, baseline: name }: ComparisonData): { arm: ComparedArm; baseline: ComparedArm }[] {
  const baseline = arms.find((arm) => arm.name === name);
  return baseline === undefined ? [] : arms.filter((arm) => arm !== baseline).map((arm) => ({ arm, baseline }));
}

function namesOf(arm: ComparedArm, baseline: ComparedArm): ComparedNames {
  return { arm: arm.name, label: arm.label, baseline: baseline.name, baselineLabel: baseline.label };
}

/** Runs of the same seed; without one in common, a single run of each. */
function runPairs({ runs }: ComparedArm, baseline: ComparedArm): RunPair[] {
  const pairs = runs.flatMap((ours) => {
    const theirs = baseline.runs.find(({ seed }) => seed === ours.seed);
    return theirs === undefined ? [] : [{ seed: ours.seed, ours, theirs }];
  });
  const [ours, theirs] = [runs[0], baseline.runs[0]];
  if (pairs.length > 0 || runs.length !== 1 || baseline.runs.length !== 1) return pairs;
  return ours === undefined || theirs === undefined ? [] : [{ seed: null, ours, theirs }];
}

function pairedDifference(pairs: readonly ScoredPair[], seed: number): Uncorrected<PairedDifference> {
  const differences = pairs.map(({ ours, theirs }) => differenceByPrompt(ours, theirs));
  const byPromptId = [...pooledByPrompt(differences).values()];
  const bySeed = pairs.map((pair, index) => ({
    seed: pair.seed,
    difference: mean([...(differences[index] ?? new Map<string, number[]>()).values()].map(mean)),
  }));
  const seedDifferences = bySeed.map(({ difference }) => difference);
  const overSeeds = studentTest(seedDifferences);
  const pPrompts = signFlipTest(byPromptId, seed);
  return {
    difference: bootstrapMean(byPromptId, seed),
    bySeed,
    overSeeds,
    pPrompts,
    pSeedsExact: signFlipTest(seedDifferences, seed),
    p: Math.max(pPrompts, overSeeds?.p ?? 0),
  };
}

/** By Holm for all that are given. */
function correct<Comparison extends PairedDifference>(found: readonly Uncorrected<Comparison>[]): Comparison[] {
  const corrected = holm(found.map(({ p }) => p));
  return found.map((comparison, index) => {
    const pCorrected = corrected[index] ?? 1;
    return { ...comparison, pCorrected, side: sideOf(comparison.difference, pCorrected) } as Comparison;
  });
}

function sideOf({ count, value }: Interval, pCorrected: number): Side {
  if (count < FEWEST_PROMPTS) return 'too few';
  if (pCorrected >= SIGNIFICANCE || value === 0) return 'undecided';
  return value > 0 ? 'above' : 'below';
}
