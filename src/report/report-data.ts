/**
 * @file Everything a report shows, as one typed object that the loop fills from the ledger. Raw numbers go in (rewards,
 * lengths, counts); means, intervals and verdicts are computed by the report, so that no figure can disagree with them.
 */
import type { AgreementTable } from '../evaluate/agreement.ts';
import type { BenchmarkScores } from '../store/benchmark-scores.ts';
import type { Best } from '../store/course.ts';
import type { EvaluationData } from '../store/evaluations.ts';
import type { LengthControlOfModel } from '../store/length-control.ts';

/** Version of this shape, for reports that are kept as JSON. */
export const REPORT_FORMAT_VERSION = 1;

/** A line of a table of settings: already readable, with its unit. */
export interface Fact {
  label: string;
  value: string;
}

/** What exploration did in one iteration. */
export interface ExplorationReport {
  iteration: number;
  /** Prompts by what became of the policy's response y in their pair. */
  fate: { chosen: number; rejected: number; between: number; noPair: number };
  /** log pi_theta(y) - log pi_ref(y) in nats after training, one a prompt of a sample; empty where it was not measured. */
  logRatios: number[];
  /** Norms over all trained weights, of the mean loss of some pairs; null where it was not measured. */
  gradient: { pairs: number; preference: number; exploration: number; total: number } | null;
}

/** What became of an iteration's prompts. */
export interface PairCounts {
  iteration: number;
  pairs: number;
  /** How often each kind of candidate took the place. */
  /** `edit`: what people wrote in place of the best. */
  chosenFrom: { response: number; chosen: number; rejected: number; edit?: number };
  rejectedFrom: { response: number; chosen: number; rejected: number };
  /** Pairs whose best or worst place was shared. */
  ties: number;
  /** Prompts without a pair, by reason. */
  skipped: { reason: string; count: number }[];
}

/** One optimiser step. Names are TRL's, in words: margin is rewards/margins, accuracy rewards/accuracies. */
export interface TrainingPoint {
  iteration: number;
  /** 1-based within the iteration. */
  step: number;
  loss: number;
  margin: number;
  accuracy: number;
  learningRate: number;
  /** beta * (log policy - log reference) of the chosen: below 0 while the margin grows, both sides lose probability. */
  rewardChosen: number | null;
  gradientNorm: number | null;
}

/** What training made of the pairs of one source of the data, over the steps of an iteration. */
export interface SourceTraining {
  iteration: number;
  source: string;
  /** Pairs that were trained on; in several epochs each counts again. */
  pairs: number;
  margin: number;
  /** From 0 to 1. */
  accuracy: number;
}

/** One way of training, from the base to its last iteration. */
export interface MethodReport {
  /** For legends, e.g. 'SELM' or 'alpha = 0 twin'. */
  name: string;
  /** One phrase, e.g. 'alpha = 0.01'. */
  description: string;
  /** Trained iterations 1..T in order; the base is `ReportData.base`. */
  iterations: { iteration: number; evaluation: EvaluationData }[];
  training: TrainingPoint[];
  /** One entry an iteration and source, where the pairs are of several sources of data. */
  sources: readonly SourceTraining[];
  pairs: PairCounts[];
  /** One entry an iteration in which the policy was sampled. */
  exploration: ExplorationReport[];
  /** One entry a model that was measured on public benchmarks; iteration 0 is the base. */
  benchmarks: { iteration: number; scores: BenchmarkScores[] }[];
  /** AlpacaEval at equal lengths, one entry a model; why not, where that cannot be said. */
  lengthControl: LengthControlOfModel[];
}

/** A prompt with the base's answer and every method's last answer. */
export interface ExampleReport {
  promptId: string;
  prompt: string;
  answers: { by: string; text: string; reward: number | null; textHealth: number | null }[];
}

/** What one ranker did in the whole run. */
export interface RankerReport {
  /** For tables, e.g. 'judge gpt-4.1-mini'. */
  name: string;
  prompts: number;
  /** Prompts that it gave no verdict on. */
  problems: number;
  /** One entry a prompt with comparisons in both orders: on how many of them the orders agree. */
  orders: { count: number; of: number }[];
  /** Requests to a server, and the tokens it counted; 0 for a ranker that asks none. */
  calls: number;
  promptTokens: number;
  completionTokens: number;
}

/** The rankers, and one table of verdicts (rows: the first ranker's) for each prompt that both judged. */
export interface OpinionReport {
  /** The first, and the second where there is one. */
  rankers: RankerReport[];
  /** Prompts drawn at random. */
  drawn: AgreementTable[];
  /** Prompts on which the first was in doubt. */
  doubt: AgreementTable[];
}

/** Input of `renderReport` and `summariseReport`. */
export interface ReportData {
  formatVersion: typeof REPORT_FORMAT_VERSION;
  name: string;
  title: string | null;
  /** When it was made, as text; the report reads no clock. */
  createdAt: string;
  /** The command that made the run, to copy. */
  command: string | null;
  /** What the reward measures, in a phrase, e.g. 'kindness of the story, 0 to 1'. */
  rewardName: string;
  /** Ends of the reward where it is bounded: fixes the axes. */
  rewardRange: { low: number; high: number } | null;
  /** How far the run is, in a sentence, where it is not finished. */
  state: string | null;
  /** The model before training, on the same prompts as every method; null where nothing was measured. */
  base: EvaluationData | null;
  /** The best iteration of the first method, where the recipe keeps one. */
  best: Best | null;
  /** Null for a single ranker that says nothing of itself. */
  opinions: OpinionReport | null;
  /** In the order of the legends; the first is what the run is about, another one its twin. */
  methods: MethodReport[];
  examples: ExampleReport[];
  settings: Fact[];
  machine: Fact[];
  seeds: Fact[];
  /** Seed of the bootstrap intervals. */
  statisticsSeed: number;
  timings: { stage: string; method: string; iteration: number | null; seconds: number }[];
  peakMemoryBytes: number | null;
  /** The data audit as printed by the run. */
  audit: string;
  /** What a reader must know: deviations from the paper, limits. One sentence each. */
  notes: string[];
}
