/**
 * @file An LLM as ranker, behind any OpenAI-compatible server. Pairwise: every pair of responses, in both orders, summed
 * up to a score in [0, 1]. Rating: a number for each response. Each question is asked once in the life of a run
 * (asking.ts); equal texts are one response, and tie. A prompt with a comparison that was not judged has no verdict: a
 * ranking from the rest would compare responses by different opponents.
 */
import { JudgeError, RankerError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import type { RankerSettings } from '../../recipe/schema.ts';
import { inOrder } from '../in-order.ts';
import { type Judgement, type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import type { RankerServices } from '../services.ts';
import { type Asking, openAsking } from './asking.ts';
import { type JudgeRequest, openClient } from './client.ts';
import {
  builtInPrompt,
  conversationText,
  fillPrompt,
  type JudgeMessage,
  loadPairPrompt,
  loadRatingPrompt,
  type PairPrompt,
  type RatingPrompt,
} from './prompt.ts';
import { type JudgeAnswer, type Reading, readPair, readRating } from './reading.ts';
import { combineOrders, type Outcome, pairsToCompare, scoresOf, showings } from './rounds.ts';

/** The `ranker` section of kind `judge`. */
export type JudgeSettings = Extract<RankerSettings, { kind: 'judge' }>;

export interface JudgeOptions {
  /** @default process.env */
  environment?: Readonly<Record<string, string | undefined>>;
  /** First wait before another try. @default 1000 */
  backoffMs?: number;
}

/** Tokens of an answer that is a label, and of one that explains itself first. */
const LABEL_TOKENS = 8;
const EXPLANATION_TOKENS = 1024;

/** What is asked, with its prompt. */
type Task =
  | (Extract<JudgeSettings['ask'], { kind: 'pairwise' }> & { by: PairPrompt })
  | { kind: 'rating'; by: RatingPrompt };

/** What the answers about an item came to: a score for each distinct text, or why there is none. */
type Verdict =
  | { kind: 'scores'; scores: number[]; judged: Judgement[] }
  | { kind: 'abstained' | 'failed'; problem: string; judged: Judgement[] };

/**
 * Opens a judge; nothing is asked yet.
 *
 * @throws RankerError JUDGE_KEY_MISSING, JUDGE_PROMPT; FileError for a prompt file that cannot be read
 */
export function openJudge(settings: JudgeSettings, services: RankerServices, options: JudgeOptions = {}): Ranker {
  const { model, temperature, concurrency, onError, baseUrl, timeoutMs } = settings;
  const apiKey = keyOf(settings, options.environment ?? process.env);
  const task = taskOf(settings.ask);
  const logProbs = logProbsOf(task);
  const maxTokens = settings.maxTokens ?? (logProbs === 'no' ? EXPLANATION_TOKENS : LABEL_TOKENS);
  const how = task.kind === 'pairwise' ? `pairwise,${task.read},${task.orders},${task.opponents}` : 'rating';
  const id = `judge:${model}:${how}:temperature=${temperature ?? 'default'}:maxTokens=${maxTokens}:${task.by.id}`;
  const client = openClient({ baseUrl, apiKey, timeoutMs, warn: services.warn });
  let asking: Asking | null = null;

  /** Asks about the candidates as shown; the judgement is there also when it holds no value. */
  async function judge(
    shown: number[],
    messages: JudgeMessage[],
    read: (answer: JudgeAnswer) => Reading,
  ): Promise<Judgement & { reading: Reading }> {
    const request: JudgeRequest = { model, messages, temperature, maxTokens, logProbs };
    const key = sha256(JSON.stringify(['judge-1', request]));
    asking ??= openAsking({
      rankerId: id,
      client,
      services,
      budget: settings.budget,
      retries: settings.retries,
      concurrency,
      ...(options.backoffMs === undefined ? {} : { backoffMs: options.backoffMs }),
    });
    const asked = await asking.ask(key, request);
    const reading: Reading =
      asked.kind === 'answered' ? read(asked.answer) : { kind: 'unreadable', reason: asked.problem };
    const value = reading.kind === 'value' ? reading.value : null;
    return { shown, value, answerKey: key, reading };
  }

  async function comparePairs(
    item: RankItem,
    texts: string[],
    { by, read, orders, opponents }: Extract<Task, { kind: 'pairwise' }>,
  ): Promise<Verdict> {
    const anchor = texts.indexOf(item.candidates.find(({ kind }) => kind === 'chosen')?.text ?? texts[0] ?? '');
    const pairs = pairsToCompare(texts.length, opponents, anchor);
    const prompt = conversationText(item.prompt);
    const asked = pairs.flatMap((pair) =>
      showings(pair, orders, { texts, prompt }).map((showing) => ({ pair, showing })),
    );
    const judged = await Promise.all(
      asked.map(async ({ pair, showing: { first, second } }) => {
        const values = new Map([
          ['prompt', prompt],
          ['first', texts[first] ?? ''],
          ['second', texts[second] ?? ''],
        ]);
        const reader = (answer: JudgeAnswer): Reading => readPair(answer, by.labels, read);
        return { pair, judgement: await judge([first, second], fillPrompt(by, values), reader) };
      }),
    );
    const judgements = judged.map(({ judgement }) => judgement);
    const problem = problemOf(judgements);
    if (problem !== null) return problem;
    const results = pairs.map((pair) => {
      const own = judged.filter((each) => each.pair === pair).map(({ judgement }) => outcomeOf(judgement));
      return { pair, preference: combineOrders(pair, own) };
    });
    return { kind: 'scores', scores: scoresOf(texts.length, results), judged: judgements };
  }

  async function rateEach(item: RankItem, texts: string[], by: RatingPrompt): Promise<Verdict> {
    const judged = await Promise.all(
      texts.map((response, index) => {
        const values = new Map([
          ['prompt', conversationText(item.prompt)],
          ['response', response],
        ]);
        return judge([index], fillPrompt(by, values), (answer) => readRating(answer, by.scale));
      }),
    );
    const scores = judged.map(({ value }) => value ?? Number.NaN);
    return problemOf(judged) ?? { kind: 'scores', scores, judged };
  }

  async function rankOne(item: RankItem): Promise<Ranking> {
    const texts = [...new Set(item.candidates.map(({ text }) => text))];
    const found =
      task.kind === 'pairwise' ? await comparePairs(item, texts, task) : await rateEach(item, texts, task.by);
    const judgements = judgementsOf(item, texts, found.judged);
    if (found.kind === 'scores') {
      const scores = item.candidates.map(({ text }) => found.scores[texts.indexOf(text)] ?? Number.NaN);
      return { ...rankingFromScores(item.promptId, scores), judgements };
    }
    // A judge that will not say which is better has answered; only a question without an answer is an error.
    if (found.kind === 'failed' && onError === 'stop') {
      throw new JudgeError(
        'JUDGE_FAILED',
        `Cannot rank prompt ${item.promptId}: ${found.problem}: everything answered is kept; set the ranker's onError to drop to leave such prompts out, and run the same command again`,
        { details: { promptId: item.promptId } },
      );
    }
    return { promptId: item.promptId, scores: null, order: [], ties: [], problem: found.problem, judgements };
  }

  return {
    id,
    gives: task.kind === 'pairwise' ? 'comparisons' : 'scores',
    async *rank(items) {
      try {
        yield* inOrder(items, rankOne, concurrency);
      } finally {
        await asking?.settle();
        asking = null; // what halted it is over: another ranking starts afresh
      }
    },
    textHealth: async () => null,
    close: async () => asking?.settle(),
  };
}

function keyOf(
  { apiKeyVariable }: JudgeSettings,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  if (apiKeyVariable === null) return null;
  const key = environment[apiKeyVariable]?.trim() ?? '';
  if (key !== '') return key;
  throw new RankerError(
    'JUDGE_KEY_MISSING',
    `Cannot use the judge: the environment variable ${apiKeyVariable}, which its apiKeyVariable names, is not set: export it, or set apiKeyVariable to null for a server that needs no key`,
    { details: { variable: apiKeyVariable } },
  );
}

function taskOf(ask: JudgeSettings['ask']): Task {
  switch (ask.kind) {
    case 'pairwise': {
      const builtIn = builtInPrompt(ask.read === 'text' ? 'mt-bench-pair' : 'alpaca-eval');
      return { ...ask, by: loadPairPrompt(ask.prompt ?? builtIn) };
    }
    case 'rating':
      return { kind: 'rating', by: loadRatingPrompt(ask.prompt ?? builtInPrompt('mt-bench-rating')) };
  }
}

function logProbsOf(task: Task): JudgeRequest['logProbs'] {
  if (task.kind === 'rating' || task.read === 'text') return 'no';
  return task.read === 'auto' ? 'try' : 'require';
}

function outcomeOf({ shown: [first = 0, second = 0], reading }: Judgement & { reading: Reading }): Outcome {
  if (reading.kind !== 'value') throw new Error('Only answers with a value are summed up');
  return { first, second, preference: reading.value, form: reading.form };
}

/** Why there is no verdict, when an answer holds none; the worst reason first. */
function problemOf(judged: readonly (Judgement & { reading: Reading })[]): Exclude<Verdict, { kind: 'scores' }> | null {
  const readings = judged.map(({ reading }) => reading);
  const unreadable = readings.find((reading) => reading.kind === 'unreadable');
  if (unreadable !== undefined) return { kind: 'failed', problem: unreadable.reason, judged: [...judged] };
  return readings.some(({ kind }) => kind === 'abstained')
    ? { kind: 'abstained', problem: 'the judge abstained', judged: [...judged] }
    : null;
}

/** Judgements on the distinct texts, told by the first candidate that holds each. */
function judgementsOf(item: RankItem, texts: readonly string[], judged: readonly Judgement[]): Judgement[] {
  const holders = texts.map((text) => item.candidates.findIndex((candidate) => candidate.text === text));
  return judged.map(({ shown, value, answerKey }) => ({
    shown: shown.map((index) => holders[index] ?? 0),
    value,
    answerKey,
  }));
}
