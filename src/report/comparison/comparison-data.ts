/**
 * @file Everything that a comparison of runs shows, as one typed object that is collected from their ledgers. Raw numbers go
 * in; means, tests and verdicts are computed from it (numbers.ts), so that no figure can disagree with them.
 */
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import type { Evaluation } from '../../store/evaluations.ts';
import type { JudgedFit } from '../../store/length-control.ts';
import type { PlacedResults } from './result-files.ts';

/** Version of the comparison as it is kept in comparison.json. */
export const COMPARISON_FORMAT_VERSION = 1;

/** A run of an arm. */
export interface ComparedRun {
  seed: number;
  path: string;
  /** What the base model is known by: runs of one base share its row. */
  baseModel: string;
  /** Of its held-out answers; 0 is greedy. */
  temperature: number;
  /** By iteration, on the prompts that are compared; 0 is the base. */
  evaluations: ReadonlyMap<number, Evaluation>;
  benchmarks: { iteration: number; scores: BenchmarkScores[] }[];
  /** Length-controlled fits of AlpacaEval by iteration; 0 is the base. */
  fits: ReadonlyMap<number, JudgedFit>;
  /** Seconds of all finished stages. */
  seconds: number;
  /** How far it is, in a sentence, where it is not finished. */
  state: string | null;
}

/** A point of a sweep's grid; `grid` is null for an arm of its list. */
export interface ArmPoint {
  label: string;
  settings: Readonly<Record<string, unknown>>;
  grid: number | null;
}

/** One way of training, over its seeds. */
export interface ComparedArm {
  name: string;
  label: string;
  /** Where it stands in the grids of a sweep; several where grids have a point in common. */
  points: ArmPoint[];
  runs: ComparedRun[];
}

/** Differences of implicit rewards between two models, by pair (Figure 4 of the paper). */
export interface ImplicitRewards {
  arm: string;
  baseline: string;
  seed: number;
  /** Strength of the pull towards the reference, by which log-ratios are multiplied. */
  beta: number;
  /** One entry a pair: reward of the arm's model minus that of the baseline's. */
  chosen: number[];
  rejected: number[];
}

export interface ComparisonData {
  title: string;
  /** When it was made, as text; nothing here reads a clock. */
  createdAt: string;
  rewardName: string;
  /** Name of the arm that the others are compared with. */
  baseline: string;
  /** Those with at least one measured run. */
  arms: ComparedArm[];
  implicitRewards: ImplicitRewards[];
  /** Results of models that were evaluated apart from their runs. */
  results: PlacedResults[];
  /** What a reader must know, one sentence each. */
  notes: string[];
  /** Seed of bootstrap intervals and random sign patterns. */
  statisticsSeed: number;
}
