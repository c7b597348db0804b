/**
 * @file The seam between the loop and any source of preference: items in, rankings out, in the same order. The loop never
 * asks how a ranking was found. Scores are kept raw; ties and failures are reported, never silently resolved.
 */
import type { Prompt } from '../text/rendering.ts';

/** Where a text comes from: the policy, the pair of the data, or a person who wrote a better one. */
export type CandidateKind = 'response' | 'chosen' | 'rejected' | 'edit';

/** A text that competes for a prompt: one of the policy's samples, or a response of the data. */
export interface Candidate {
  kind: CandidateKind;
  /** 0-based index of the sample; null for the texts of the data. */
  sampleIndex: number | null;
  text: string;
}

/** One prompt with its candidates, in the order [samples..., chosen, rejected] that decides ties. */
export interface RankItem {
  promptId: string;
  prompt: Prompt;
  candidates: Candidate[];
  /** Where the prompt lies in the data, for messages about it; absent where it came from a program. */
  source?: { file: string; line: number };
  /** Why this prompt is among those that are ranked, in words, where not all are. Only people get to read it. */
  why?: string;
}

/** One answer behind a ranking: what was shown, and what came of it. */
export interface Judgement {
  /** Indices of the candidates as they were shown: two for a comparison, one for a rating. */
  shown: readonly number[];
  /** Preference for the first shown, in [0, 1], or the rating. Null: the answer held no verdict. */
  value: number | null;
  /** Of the raw answer: in the run's ledger, or of people the question in their own log. */
  answerKey: string;
  /** How much it counts beside others, where somebody says so. @default 1 */
  weight?: number;
  /** Whether whoever compared the two called neither of them good. @default false */
  areBothBad?: true;
  /** What somebody wrote in place of the better of the two: best of all. */
  edit?: string;
}

/** The verdict on one item. */
export interface Ranking {
  promptId: string;
  /** One raw score a candidate, higher is better; null where the ranker only orders. */
  scores: readonly number[] | null;
  /** Indices of the candidates, best first; candidates of one tie stand in their own order. Empty with a problem. */
  order: readonly number[];
  /** Groups of two or more candidates that rank equal, each ascending. */
  ties: readonly (readonly number[])[];
  /** Why there is no verdict (`onError: 'drop'`): the prompt is counted and reported, and gives no pair. */
  problem?: string;
  /** What was too long for the ranker and lost a part before it was judged; absent where all of it was read. */
  cut?: { prompt: boolean; responses: number };
  /** The answers that it was made from, where a ranker asks for some. */
  judgements?: readonly Judgement[];
}

/**
 * What a ranker's verdict holds beside the order:
 * - scores: numbers that mean the same for every prompt and every set of candidates (a reward).
 * - comparisons: scores that hold among the candidates of one item only (PairRM, a pairwise judge).
 * - order: nothing else.
 */
export type Verdict = 'scores' | 'comparisons' | 'order';

/** Something that a ranker is made of: a file, a package, a model. */
export interface Source {
  /** For people, and the same wherever the project lies: `words.txt`, `package yaml`. */
  name: string;
  sha256: string;
}

/** A source of preference, open: it may hold a thread, a model or a connection until it is closed. */
export interface Ranker {
  /** Name, version and settings: goes into the ledger beside every verdict. */
  readonly id: string;
  /** What it is made of beside its settings, where it found that out itself; absent where the settings name it all. */
  readonly sources?: readonly Source[];
  readonly gives: Verdict;
  /** Ranks items as they come; results are in the order of the items. */
  rank(items: AsyncIterable<RankItem>): AsyncIterable<Ranking>;
  /** Soundness of each text, from 0 (broken) to 1; null where the ranker does not judge it. */
  textHealth(responses: readonly string[]): Promise<number[] | null>;
  close(): Promise<void>;
}

/**
 * The ranking that scores imply: best first, equal scores in candidate order, every group of equal scores a tie.
 *
 * @param scores finite numbers, one a candidate
 */
export function rankingFromScores(promptId: string, scores: readonly number[]): Ranking {
  const order = scores.map((_, index) => index).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const groups = new Map<number, number[]>();
  // A Map finds -0 under 0: they tie, as they compare.
  for (const [index, score] of scores.entries()) groups.set(score, [...(groups.get(score) ?? []), index]);
  return { promptId, scores: [...scores], order, ties: [...groups.values()].filter((group) => group.length > 1) };
}
