/**
 * @file Runs a benchmark: rows become items, items prompts, and prompts are asked in batches whose answers are kept as they
 * come, so a stopped run continues where it was, and a second one asks nothing. Every row is accounted for: scored, or named.
 */
import { z } from 'zod';
import { sha256 } from '../../files/hash.ts';
import type { AnswerStore } from './answer-store.ts';
import type { Benchmark, BenchmarkItem, Question, Scores } from './benchmark.ts';
import { type Estimate, groupsOf, metricsOf } from './estimates.ts';
import { readExamples, readRows, type SourceRow } from './items.ts';
import type { Answered, AnswerRequest, AnswerSettings, ChoiceRequest } from './requests.ts';
import { promptsOf } from './shots.ts';

/** Who answers. */
export interface Respondent {
  /** Names weights, tokenizer and computing type: the same identity gives the same answers. */
  identity: string;
  /** Most questions with choices that it is asked at once. @default QUESTIONS_AT_ONCE */
  questionsAtOnce?: number;
  /** Each answer when it is there; what comes between two of them may take a while. */
  scoreChoices(requests: readonly ChoiceRequest[]): Iterable<Answered<number[]>> | AsyncIterable<Answered<number[]>>;
  generateAnswers(requests: readonly AnswerRequest[], settings: AnswerSettings): AsyncIterable<Answered<string>>;
}

/** What became of one row. */
export interface ItemResult {
  line: number;
  groups: readonly string[];
  scores: Scores;
  /** Log-likelihood of each choice, or the text. */
  answer: number[] | string;
  /** Tokens at the prompt's start that did not fit. */
  cut: number;
}

export interface BenchmarkResult {
  benchmark: string;
  title: string;
  shots: number;
  mainMetric: string;
  metrics: Record<string, Estimate>;
  /** The same of the items of each part of the benchmark, by its name; empty where it has none. */
  groups: Record<string, Record<string, Estimate>>;
  /** Rows that could not be asked or answered, in no metric. */
  unusable: { line: number; problem: string }[];
  /** Items whose prompt lost tokens because the model's context is too short. */
  cutItems: number;
  /** Items whose answer was kept from before. */
  fromStore: number;
  items: ItemResult[];
  warnings: string[];
}

export interface BenchmarkRun {
  rows: readonly SourceRow[];
  /** Training rows, where there are any. */
  exampleRows: readonly SourceRow[];
  shots: number;
  /** Only the first rows are asked, of a benchmark with groups those of each; examples may come from all. @default all */
  limit?: number | undefined;
  store: AnswerStore;
  /** Hears how many items have an answer. */
  progress?: ((done: number, total: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Questions whose choices are made tokens at once: those that begin alike share that in memory, too. */
export const QUESTIONS_AT_ONCE = 256;

interface Asked {
  line: number;
  item: BenchmarkItem;
  prompt: string;
  key: string;
}

const keptAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('choices'), value: z.array(z.number()), cut: z.number() }),
  z.object({ kind: z.literal('generation'), value: z.string(), cut: z.number() }),
]);
type KeptAnswer = z.output<typeof keptAnswer>;

/** Asks all rows and scores the answers. DataError EVALUATION_SHOTS, EVALUATION_EMPTY; InterruptedError keeps what is there. */
export async function runBenchmark(
  benchmark: Benchmark,
  respondent: Respondent,
  run: BenchmarkRun,
): Promise<BenchmarkResult> {
  const { store, signal, progress = () => {} } = run;
  const unusable: BenchmarkResult['unusable'] = [];
  const warnings: string[] = [];
  const asked = askedItems(benchmark, respondent, run, { unusable, warnings });
  const answers = new Map<string, KeptAnswer>();
  for (const { key } of asked) {
    const kept = keptUnder(store, key);
    if (kept !== null) answers.set(key, kept);
  }
  const fromStore = asked.filter(({ key }) => answers.has(key)).length;
  const open = asked.filter(({ key }) => !answers.has(key));
  progress(fromStore, asked.length);
  for await (const outcome of askedAnswers(respondent, open, signal)) {
    const { key } = outcome;
    if (outcome.kind === 'answered') {
      store.put([{ key, answer: JSON.stringify(outcome.answer) }]);
      answers.set(key, outcome.answer);
    } else {
      // The same row may stand in a file more than once.
      const rows = open.filter((each) => each.key === key);
      unusable.push(...rows.map(({ line }) => ({ line, problem: outcome.problem })));
    }
    progress(answers.size, asked.length);
  }
  const items = asked.flatMap(({ line, item, key }): ItemResult[] => {
    const answer = answers.get(key);
    return answer === undefined
      ? []
      : [
          {
            line,
            groups: item.groups ?? [],
            scores: scoresOf(item.question, answer),
            answer: answer.value,
            cut: answer.cut,
          },
        ];
  });
  const cutItems = items.filter(({ cut }) => cut > 0).length;
  if (unusable.length > 0) warnings.push(`${unusable.length} rows could not be used and are in no number`);
  if (cutItems > 0) {
    warnings.push(
      `${cutItems} of ${items.length} prompts do not fit the model's context and lost examples or text at their start`,
    );
  }
  const { name, title, mainMetric } = benchmark;
  return {
    ...{ benchmark: name, title, shots: run.shots, mainMetric },
    metrics: metricsOf(items),
    groups: groupsOf(items),
    unusable: unusable.sort((a, b) => a.line - b.line),
    ...{ cutItems, fromStore, items, warnings },
  };
}

/** Usable rows with their prompts. */
function askedItems(
  benchmark: Benchmark,
  respondent: Respondent,
  { rows, exampleRows, shots, limit }: BenchmarkRun,
  notes: { unusable: BenchmarkResult['unusable']; warnings: string[] },
): Asked[] {
  const { asked, unusable, readable } = readRows(benchmark, rows, limit);
  notes.unusable.push(...unusable);
  const examples = readExamples(benchmark, exampleRows);
  const isDrawn = benchmark.examples.kind === 'drawn' && shots > 0;
  if (isDrawn && examples.length === 0) {
    notes.warnings.push('there are no training rows: examples are drawn from the rows that are asked');
  }
  const prompts = promptsOf(
    benchmark,
    asked.map(({ item }) => item),
    { shots, pool: isDrawn && examples.length === 0 ? readable : examples },
  );
  return asked.map(({ line, item }, index) => {
    const prompt = prompts[index] ?? item.text;
    return { line, item, prompt, key: keyOf(respondent.identity, prompt, item.question) };
  });
}

/** All that decides an answer. */
function keyOf(identity: string, prompt: string, question: Question): string {
  const asked =
    question.kind === 'choices'
      ? ['choices', question.choices]
      : ['generation', question.stops, question.maxNewTokens, 'greedy'];
  return sha256(JSON.stringify(['benchmark-answer-1', identity, prompt, asked]));
}

function keptUnder(store: AnswerStore, key: string): KeptAnswer | null {
  const text = store.get(key);
  if (text === null) return null;
  const parsed = keptAnswer.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}

type Outcome =
  | { kind: 'answered'; key: string; answer: KeptAnswer }
  | { kind: 'refused'; key: string; problem: string };

/** Choices first, then generations by their settings; each when it is there. */
async function* askedAnswers(
  respondent: Respondent,
  open: readonly Asked[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Outcome> {
  const byKey = new Map(open.map((each) => [each.key, each]));
  const outcome = (answered: Answered<number[]> | Answered<string>): Outcome => {
    if (answered.kind === 'refused') return { kind: 'refused', key: answered.id, problem: answered.problem };
    const { id, value, cut } = answered;
    const answer: KeptAnswer =
      typeof value === 'string' ? { kind: 'generation', value, cut } : { kind: 'choices', value, cut };
    return { kind: 'answered', key: id, answer };
  };
  const choices = [...byKey.values()].flatMap(({ key, prompt, item }): ChoiceRequest[] =>
    item.question.kind === 'choices'
      ? [{ id: key, context: prompt, continuations: item.question.choices.map((choice) => ` ${choice}`) }]
      : [],
  );
  const { questionsAtOnce = QUESTIONS_AT_ONCE } = respondent;
  for (let start = 0; start < choices.length; start += questionsAtOnce) {
    signal?.throwIfAborted();
    for await (const answered of respondent.scoreChoices(choices.slice(start, start + questionsAtOnce))) {
      yield outcome(answered);
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }
  for (const { settings, requests } of generations([...byKey.values()])) {
    for await (const answered of respondent.generateAnswers(requests, { ...settings, signal })) yield outcome(answered);
  }
}

function generations(open: readonly Asked[]): { settings: AnswerSettings; requests: AnswerRequest[] }[] {
  const groups = new Map<string, { settings: AnswerSettings; requests: AnswerRequest[] }>();
  for (const { key, prompt, item } of open) {
    if (item.question.kind !== 'generation') continue;
    const { stops, maxNewTokens } = item.question;
    const name = JSON.stringify([stops, maxNewTokens]);
    const group = groups.get(name) ?? { settings: { stops, maxNewTokens }, requests: [] };
    group.requests.push({ id: key, context: prompt });
    groups.set(name, group);
  }
  return [...groups.values()];
}

function scoresOf(question: Question, { value }: KeptAnswer): Scores {
  if (question.kind === 'choices' && typeof value !== 'string') return question.score(value);
  if (question.kind === 'generation' && typeof value === 'string') return question.score(value);
  throw new Error('An answer of another kind lies under this key');
}
