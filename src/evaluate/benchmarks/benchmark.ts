/**
 * @file What a benchmark is: where its rows are, which examples are shown before an item, how a row becomes a question, and how an
 * answer, or the likelihoods of given answers, become scores. One file a benchmark in suite/; run.ts runs them all.
 */

/**
 * Scores of one item by metric; a metric that does not apply to it is absent, and one that judges several parts of an answer has a
 * value for each, which count alike in the mean. The names are lm-evaluation-harness's.
 */
export type Scores = Readonly<Record<string, number | readonly number[]>>;

/** What the model is asked about an item. */
export type Question =
  | {
      kind: 'choices';
      /** Each is scored as what follows the text, after a space. */
      choices: readonly string[];
      /** From the summed log-probability of each choice, in nats. */
      score(logLikelihoods: readonly number[]): Scores;
    }
  | {
      kind: 'generation';
      /** Greedy decoding ends before the first of these texts. */
      stops: readonly string[];
      maxNewTokens: number;
      score(answer: string): Scores;
    };

/** One row, ready to be asked. */
export interface BenchmarkItem {
  /** What the model reads before the examples. @default nothing */
  opening?: string;
  /** What the model reads, after the examples. */
  text: string;
  /** What an example shows after its text; null where the row cannot be one. */
  target: string | null;
  question: Question;
  /** Parts of the benchmark that it is in, the smallest first: numbers are stated for each of them too. @default none */
  groups?: readonly string[];
}

/** Rows of a data set: on the Hub, and by its name in a folder of files. */
export interface RowSource {
  hub: string;
  file: RegExp;
}

/** The examples before each item. */
export type Examples =
  | { kind: 'none' }
  /** The same for all. */
  | { kind: 'fixed'; items: readonly Pick<BenchmarkItem, 'text' | 'target'>[] }
  /**
   * Drawn for each item as lm-evaluation-harness draws: by Python's generator, seeded once, item after item. `others`: from the
   * benchmark's training rows (where they are not there, from the rows that are asked); `anyButItself` draws one more and
   * leaves out the item that is asked.
   */
  | { kind: 'drawn'; from: RowSource | null; rule: 'others' | 'anyButItself' }
  /** The first rows of the item's own smallest group, in the order in which the data set has them. */
  | { kind: 'first'; from: RowSource };

/** A benchmark. */
export interface Benchmark {
  /** lm-evaluation-harness's name. */
  name: string;
  title: string;
  /** Examples before each item, as it is usually reported. */
  shots: number;
  examples: Examples;
  rows: RowSource;
  /** The metric that is usually quoted. */
  mainMetric: string;
  /** A row as an item, or why it is none: a row without its right answer is never scored as wrong. */
  readItem(row: Readonly<Record<string, unknown>>): BenchmarkItem | { problem: string };
}
