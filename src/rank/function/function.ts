/**
 * @file A user's own TypeScript or JavaScript module as ranker. It exports one of
 *
 *   reward(prompt, responses, context) -> number[]   one finite score a response, higher is better
 *   rank(prompt, responses, context) -> number[]     the indices of the responses, best first
 *
 * sync or async, and may export `guard(response) -> number` in [0, 1], how sound a text is, which the report plots. The
 * module runs in a worker thread (host.ts). Each distinct text is asked about once: equal texts rank equal.
 */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { RankerError } from '../../errors.ts';
import { sha256File } from '../../files/hash.ts';
import type { Message, Prompt } from '../../text/rendering.ts';
import { inOrder } from '../in-order.ts';
import { type Candidate, type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import { FunctionHost } from './host.ts';

/** The third argument of `reward` and `rank`. */
export interface RankContext {
  promptId: string;
  /** The whole conversation of a chat prompt; null for a plain text. */
  messages: Message[] | null;
  /** Who wrote each response, in the order of `responses`. */
  candidates: Pick<Candidate, 'kind' | 'sampleIndex'>[];
}

/** Signature of an exported `reward`. `prompt` is the text, or the last user message of a chat. */
export type RewardFunction = (
  prompt: string,
  responses: string[],
  context: RankContext,
) => number[] | Promise<number[]>;

/** Signature of an exported `rank`: a permutation of the indices of `responses`, best first. */
export type RankFunction = RewardFunction;

export interface FunctionRankerOptions {
  /** Longest time of one call, in milliseconds. @default 60000 */
  timeoutMs?: number;
  /** Longest time of loading the module, in milliseconds. @default 60000, or timeoutMs if longer */
  loadTimeoutMs?: number;
  /** Calls in flight at once; results keep the order of the items. @default 8 */
  concurrency?: number;
  /** A call that fails ends the run with an error (it can be resumed), or drops its prompt. @default 'stop' */
  onError?: 'stop' | 'drop';
}

/**
 * Loads a user's module as a ranker: it gives scores or an order, and the text health that its `guard` finds.
 *
 * @param path the .ts, .js, .mts or .mjs file
 * @throws RankerError RANKER_MODULE_MISSING, RANKER_MODULE_FAILED (it threw while loading), RANKER_EXPORT (it exports
 * neither or both of `reward` and `rank`), RANKER_TIMEOUT
 */
export async function loadFunctionRanker(path: string, options: FunctionRankerOptions = {}): Promise<Ranker> {
  const {
    timeoutMs = 60_000,
    loadTimeoutMs = Math.max(60_000, timeoutMs),
    concurrency = 8,
    onError = 'stop',
  } = options;
  const file = resolve(path);
  if (!existsSync(file)) {
    throw new RankerError(
      'RANKER_MODULE_MISSING',
      `Cannot load the ranker module ${file}: no such file: set ranker.module to a .ts or .js file that exports reward(prompt, responses) or rank(prompt, responses)`,
      { details: { module: file } },
    );
  }
  const digest = await sha256File(file);
  const host = await FunctionHost.start(file, { timeoutMs, loadTimeoutMs });
  const exported = ['reward', 'rank'].filter((name) => host.functions.includes(name));
  const name = exported[0];
  if (name === undefined || exported.length > 1) {
    await host.close();
    const found = host.functions.length === 0 ? 'no function' : host.functions.join(', ');
    throw new RankerError(
      'RANKER_EXPORT',
      `Cannot use the ranker module ${file}: it exports ${found}: export exactly one of reward(prompt, responses) -> scores, or rank(prompt, responses) -> order`,
      { details: { module: file, exported: host.functions } },
    );
  }
  const gives = name === 'reward' ? 'scores' : 'order';

  async function rankOne(item: RankItem): Promise<Ranking> {
    try {
      return await ask(host, name === 'reward' ? 'reward' : 'rank', item);
    } catch (error) {
      const cause =
        error instanceof RankerError ? error : new RankerError('RANKER_THREW', String(error), { cause: error });
      if (onError === 'drop') {
        return { promptId: item.promptId, scores: null, order: [], ties: [], problem: cause.message };
      }
      throw new RankerError(cause.code, `Cannot rank prompt ${item.promptId}: ${cause.message}`, {
        cause,
        details: { ...cause.details, promptId: item.promptId, module: file },
      });
    }
  }

  return {
    // Only the module's own source is hashed: what it imports is not.
    id: `function:${basename(file)}:${name}:sha256=${digest}`,
    gives,
    rank: (items) => inOrder(items, rankOne, concurrency),
    async textHealth(responses) {
      if (!host.functions.includes('guard')) return null;
      return Promise.all(responses.map(async (response) => healthOf(await host.call('guard', [response]), file)));
    },
    close: () => host.close(),
  };
}

/** The text that a module is given for a prompt: the text itself, or the last user message of a chat. */
export function promptText(prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat':
      return (prompt.messages.findLast((message) => message.role === 'user') ?? prompt.messages.at(-1))?.content ?? '';
  }
}

/** One call, its answer checked, spread from the distinct texts over the candidates. */
async function ask(host: FunctionHost, name: 'reward' | 'rank', item: RankItem): Promise<Ranking> {
  const { promptId, prompt, candidates } = item;
  const distinct = [...new Set(candidates.map(({ text }) => text))];
  const firsts = distinct.map((text) => candidates.find((candidate) => candidate.text === text));
  const context: RankContext = {
    promptId,
    messages: prompt.kind === 'chat' ? prompt.messages : null,
    candidates: firsts.flatMap((first) =>
      first === undefined ? [] : [{ kind: first.kind, sampleIndex: first.sampleIndex }],
    ),
  };
  const answer = await host.call(name, [promptText(prompt), distinct, context]);
  const indexOf = new Map(distinct.map((text, index) => [text, index]));
  const values = name === 'reward' ? checkScores(answer, distinct.length) : checkOrder(answer, distinct.length);
  if (name === 'reward') {
    return rankingFromScores(
      promptId,
      candidates.map(({ text }) => values[indexOf.get(text) ?? 0] ?? Number.NaN),
    );
  }
  // An order becomes places, so that candidates of equal text share one and tie.
  const places = candidates.map(({ text }) => -values.indexOf(indexOf.get(text) ?? 0));
  return { ...rankingFromScores(promptId, places), scores: null };
}

function checkScores(answer: unknown, count: number): number[] {
  const numbers = checkArray(answer, count, 'reward', 'finite scores');
  const wrong = numbers.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw resultError(`reward() returned ${show(numbers[wrong])} for response ${wrong}: scores are finite numbers`);
  }
  return numbers as number[]; // each is finite, so each is a number
}

function checkOrder(answer: unknown, count: number): number[] {
  const indices = checkArray(answer, count, 'rank', 'indices, best first');
  const sorted = [...new Set(indices)].filter(
    (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < count,
  );
  if (sorted.length !== count) {
    throw resultError(
      `rank() returned ${show(indices)}: an order names each index from 0 to ${count - 1} once, best first`,
    );
  }
  return indices as number[]; // a permutation of the indices
}

function checkArray(answer: unknown, count: number, name: string, content: string): unknown[] {
  if (!Array.isArray(answer))
    throw resultError(`${name}() returned ${show(answer)}: it returns an array of ${count} ${content}`);
  if (answer.length !== count) {
    throw resultError(
      `${name}() returned ${answer.length} values for ${count} distinct responses: it returns ${count} ${content}`,
    );
  }
  return Array.from(answer);
}

function healthOf(value: unknown, file: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw resultError(`guard() of ${file} returned ${show(value)}: it returns a number from 0 (broken text) to 1`);
}

function resultError(message: string): RankerError {
  return new RankerError('RANKER_RESULT', message);
}

function show(value: unknown): string {
  if (typeof value === 'number' || value === undefined) return String(value);
  return (JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? `${inner}n` : inner)) ?? typeof value).slice(
    0,
    80,
  );
}
