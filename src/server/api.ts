/** @file What the studio's server and its pages say to each other, as JSON. Numbers that are not finite are null. */
import type { PairLabel } from '../objective/soft-label.ts';
import type { TAGS } from '../rank/people/questions.ts';
import type { RawAnswer } from '../rank/services.ts';
import type { CandidateOrigin, RankingRecord } from '../store/ledger-rows.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import type { ShownTurn } from '../text/shown.ts';

export type { LoggedEvent } from '../store/read-events.ts';

/** How a run stands. `died`: its process is gone and said nothing. `unreadable`: the folder cannot be read as a run. */
export type RunStanding = 'running' | 'waiting' | 'failed' | 'finished' | 'stopped' | 'died' | 'unreadable';

/** The work in progress of a run. */
export interface Progress {
  done: number;
  total: number;
  unit: string;
  detail: string | null;
  /** Items a second, of the last few seconds; null where too little was seen. */
  perSecond: number | null;
  /** Of this stage. */
  secondsLeft: number | null;
}

/** A run in the list of all. */
export interface RunSummary {
  /** Names it in URLs: its folder below the listed one. */
  id: string;
  name: string;
  kind: 'selm' | 'fine-tuning';
  /** Whether people answer its questions. */
  asksPeople: boolean;
  standing: RunStanding;
  /** Null before the first stage, and where nothing can be read. */
  place: { iteration: number; iterations: number; stage: string } | null;
  progress: Progress | null;
  /** Of the whole run, from what its earlier iterations took; null in the first one. */
  secondsLeft: number | null;
  error: { code: string; message: string } | null;
  /** What to do next, a sentence; `command` to copy, where there is one. */
  next: { text: string; command: string | null };
  /** What a page may ask for: stop the process at work, or start its command again. */
  control: 'stop' | 'go-on' | null;
  createdAt: string | null;
  /** Milliseconds since 1970 of its last sign of life. */
  lastSignMs: number | null;
  residentBytes: number | null;
}

/** A run by itself. */
export interface RunDetail extends RunSummary {
  path: string;
  settings: { label: string; value: string }[];
  stages: { iteration: number; stage: string; status: string; seconds: number | null; attempt: number }[];
  /** Names of what was measured step by step, and iteration by iteration. */
  metrics: { steps: string[]; iterations: string[] };
  pairCounts: { iteration: number; pairs: number }[];
  /** Whether `/report` has something to show: fine-tunings have none. */
  hasReport: boolean;
  /** The last events worth a line, oldest first. */
  log: LoggedEvent[];
  /** The id of the last event that this answer knows of: follow the events behind it. */
  lastEventId: number;
}

/** A curve, thinned to what a screen shows: the lowest and the highest of each stretch, and the ends. */
export interface Curve {
  name: string;
  x: number[];
  y: (number | null)[];
}

export interface Curves {
  /** Over steps, counted through all iterations, from 1. */
  steps: Curve[];
  /** Over iterations; 0 is the base. */
  iterations: Curve[];
  /** Steps before each iteration that has any: where it begins. */
  starts: { iteration: number; before: number }[];
  /** Numbers that were read for it. */
  measured: number;
}

/** A pair in a list; its texts are excerpts. */
export interface PairItem {
  pairId: string;
  iteration: number;
  prompt: string | null;
  chosen: string;
  rejected: string;
  chosenFrom: CandidateOrigin;
  rejectedFrom: CandidateOrigin;
  scoreChosen: number | null;
  scoreRejected: number | null;
}

export interface PairPage {
  total: number;
  offset: number;
  pairs: PairItem[];
}

/** Where a pair comes from. */
export interface PairDetail {
  pairId: string;
  iteration: number;
  promptId: string;
  prompt: string | null;
  source: { file: string; line: number } | null;
  rankerId: string | null;
  chosen: string;
  rejected: string;
  /** The text of the exploration term. */
  response: string | null;
  /** How sure the order is, where labels are soft. */
  label: PairLabel | null;
  chosenFrom: CandidateOrigin;
  rejectedFrom: CandidateOrigin;
  sampler: { sha256: string; seed: number } | null;
  responses: { sampleIndex: number; tokens: number; logProb: number; finish: 'stop' | 'length' }[];
  rankings: Omit<RankingRecord, 'iteration' | 'promptId'>[];
  /** Raw answers that the verdicts were made from, by their key. */
  answers: (RawAnswer & { key: string })[];
}

/** Where samples come from: measurements on held-out prompts, or the prompts that were trained on. */
export type SampleSource = 'held-out' | 'training';

export interface PromptPage {
  total: number;
  offset: number;
  prompts: { promptId: string; prompt: string | null; iterations: number[] }[];
}

/** What the policy answered to one prompt, iteration by iteration; 0 is the base, of held-out prompts. */
export interface PromptSamples {
  promptId: string;
  prompt: string | null;
  iterations: { iteration: number; samples: { text: string; score: number | null }[] }[];
}

/** Who looks at the page. */
export interface Me {
  name: string;
  right: 'label' | 'review' | 'admin';
}

/** A run that asks people, for who answers. */
export interface Task {
  id: string;
  open: number;
  answered: number;
}

/** A question as a person sees it: which text stands left is drawn, and the same whenever it is shown. */
export interface ShownQuestion {
  id: string;
  prompt: string;
  /** The prompt by turns, where it is a conversation of several; else empty. */
  turns: readonly ShownTurn[];
  left: string;
  right: string;
  /** Why this prompt is asked about; empty where all are. */
  reason: string;
}

/** What a run asks people. */
export interface OpenQuestions {
  /** The next ones, oldest first. */
  next: ShownQuestion[];
  open: number;
  answered: number;
  /** The last answer that may still be taken back. */
  undoable: ShownQuestion | null;
  /** Reasons that may be given. */
  tags: readonly Tag[];
}

/** Reasons for a choice. */
export type Tag = (typeof TAGS)[number];

/** What a person says. `key` is made by the page, so that an answer that is sent twice counts once. */
export interface GivenAnswer {
  question: string;
  choice: 'left' | 'right' | 'tie' | 'both-bad' | 'skip' | 'undo';
  /** @default 'some' */
  strength?: 'some' | 'much';
  /** @default none */
  tags?: Tag[];
  /** @default false */
  isFlagged?: boolean;
  /** The chosen text as it should have been; with left and right alone. @default none */
  edit?: string | null;
  seconds: number;
  key: string;
}

/** A share or a coefficient with its 95 % interval; null where it is not defined. */
export type AgreementFigures = { value: number; low: number; high: number } | null;

/** What the answers of one annotator look like. */
export interface AnnotatorFigures {
  name: string;
  answers: number;
  /** Share of the decisions for what stood left. */
  left: AgreementFigures;
  /** Decisions that were called much better. */
  much: number;
  ties: number;
  bothBad: number;
  skipped: number;
  medianSeconds: number;
  /** By who agrees with whom; about 1 is expected of somebody unknown, 0 guesses. */
  ability: number | null;
  /** Share of the gold questions that were answered as is known to be right. `fails`: surely fewer than four of five. */
  gold: { answers: number; right: AgreementFigures; fails: boolean } | null;
  /** Share of the repeated questions that were answered as the first time. */
  again: { questions: number; same: AgreementFigures } | null;
}

/** How far two agree on what both judged. */
export interface AgreementOfTwo {
  comparisons: number;
  percent: AgreementFigures;
  kappa: AgreementFigures;
  ac1: AgreementFigures;
}

/** Everybody who answered, and how far they agree. */
export interface Annotators {
  annotators: AnnotatorFigures[];
  /** On questions that two or more answered; null where there is none. */
  people: { questions: number; percent: AgreementFigures; alpha: AgreementFigures; ac1: AgreementFigures } | null;
  /** Of each two annotators, on questions that both answered. */
  between: (AgreementOfTwo & { names: [string, string] })[];
  /** With the other rankers of the run: of all (`annotator` null), and of each where there are several. */
  rankers: (AgreementOfTwo & { rankerId: string; annotator: string | null })[];
  flagged: { annotator: string; prompt: string; texts: readonly [string, string] }[];
}

/** What people's labels moved. */
export interface AfterwardsPage {
  /** Iterations that were measured. */
  iterations: { iteration: number; prompts: number; rose: number; meanBefore: number; meanAfter: number }[];
  /** Who answered something. */
  annotators: string[];
  prompts: MovedPrompt[];
  /** What measures. */
  command: string;
}

/** A prompt that people answered about, before the training on their answers and after it. */
export interface MovedPrompt {
  iteration: number;
  promptId: string;
  prompt: string;
  chosen: string;
  rejected: string;
  marginBefore: number;
  marginAfter: number;
  before: string[];
  after: string[];
  /** Who answered about it. */
  annotators: string[];
}

/** What is asked of a run. */
export interface GivenControl {
  action: 'stop' | 'go-on';
}

/** An arena in the list of all. */
export interface ArenaItem {
  id: string;
  prompts: number;
  /** Bouts that the visitor has not voted on. */
  open: number;
  /** Votes of the visitor. */
  own: number;
}

/** Two answers as a voter sees them: nothing says who wrote which. */
export interface ShownBout {
  id: string;
  prompt: string;
  left: string;
  right: string;
}

/** What an arena asks. */
export interface OpenBouts {
  /** The next ones. */
  next: ShownBout[];
  open: number;
  own: number;
  /** The visitor's last vote, which may be taken back. */
  undoable: ShownBout | null;
}

/** What a voter says. `key` is made by the page, so that a vote that is sent twice counts once. */
export interface GivenVote {
  bout: string;
  choice: 'left' | 'right' | 'tie' | 'both-bad' | 'skip' | 'undo';
  seconds: number;
  key: string;
}

/** Who stands how in an arena, best first. */
export interface ArenaStandings {
  contenders: {
    name: string;
    source: string;
    rating: { value: number; low: number; high: number };
    wins: number;
    ties: number;
    losses: number;
  }[];
  votes: number;
  skipped: number;
  leftShare: number | null;
}

/** What a refused request is answered with. */
export interface Problem {
  code: string;
  message: string;
}
