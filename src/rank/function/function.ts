/**
 * @file A user's own TypeScript or JavaScript module as ranker. It exports one of
 *
 *   reward(prompt, responses, context) -> number[]   one finite score a response, higher is better
 *   rank(prompt, responses, context) -> number[]     the indices of the responses, best first
 *
 * sync or async, and may export `guard(response) -> number` in [0, 1], how sound a text is, which the report plots. The
 * module runs in a worker thread (host.ts). Files that it reads in a call, not while it is loaded, belong in an export
 * `files`, a list of paths: their content is a part of what the ranker is (sources.ts). A program in any other language is ../command/.
 */
import { existsSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { RankerError } from '../../errors.ts';
import { inOrder } from '../in-order.ts';
import type { Ranker, RankItem, Ranking, Source } from '../ranker.ts';
import {
  describeItem,
  questionOf,
  rankingOfAnswer,
  resultError,
  showAnswer,
  type UserQuestion,
} from '../user-verdict.ts';
import { FunctionHost } from './host.ts';
import { digestOfSources, moduleSources } from './sources.ts';

/** The third argument of `reward` and `rank`. */
export type RankContext = Pick<UserQuestion, 'promptId' | 'messages' | 'candidates'>;

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
 * neither or both of `reward` and `rank`), RANKER_FILES (what it imports or names cannot be found), RANKER_TIMEOUT
 */
export async function loadFunctionRanker(path: string, options: FunctionRankerOptions = {}): Promise<Ranker> {
  const {
    timeoutMs = 60_000,
    loadTimeoutMs = Math.max(60_000, timeoutMs),
    concurrency = 8,
    onError = 'stop',
  } = options;
  const file = resolve(path);
  if (!/^\.[cm]?[jt]s$/.test(extname(file))) {
    throw new RankerError(
      'RANKER_MODULE_KIND',
      `Cannot load the ranker module ${file}: a module is TypeScript or JavaScript (.ts, .mts, .js, .mjs): for a program in another language set ranker to ${programFor(file)} (docs/rewards.md)`,
      { details: { module: file } },
    );
  }
  if (!existsSync(file)) {
    throw new RankerError(
      'RANKER_MODULE_MISSING',
      `Cannot load the ranker module ${file}: no such file: set ranker.module to a .ts or .js file that exports reward(prompt, responses) or rank(prompt, responses)`,
      { details: { module: file } },
    );
  }
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
  const sources = await sourcesOf(file, host);
  const exportedName = name;
  const gives = name === 'reward' ? 'scores' : 'order';

  async function rankOne(item: RankItem): Promise<Ranking> {
    try {
      const { prompt, responses, ...context } = questionOf(item);
      const answer = await host.call(exportedName, [prompt, responses, context]);
      return rankingOfAnswer(item, answer, { gives, who: `${exportedName}()` });
    } catch (error) {
      const cause =
        error instanceof RankerError ? error : new RankerError('RANKER_THREW', String(error), { cause: error });
      if (onError === 'drop') {
        return { promptId: item.promptId, scores: null, order: [], ties: [], problem: cause.message };
      }
      throw new RankerError(cause.code, `Cannot rank ${describeItem(item)}: ${cause.message}`, {
        cause,
        details: { ...cause.details, promptId: item.promptId, module: file },
      });
    }
  }

  return {
    id: `function:${basename(file)}:${name}:sha256=${digestOfSources(sources)}`,
    sources,
    gives,
    rank: (items) => inOrder(items, rankOne, concurrency),
    async textHealth(responses) {
      if (!host.functions.includes('guard')) return null;
      return Promise.all(responses.map(async (response) => healthOf(await host.call('guard', [response]), file)));
    },
    close: () => host.close(),
  };
}

/** What the module is made of; where that cannot be found the thread is ended. */
async function sourcesOf(file: string, host: FunctionHost): Promise<Source[]> {
  try {
    return moduleSources(file, host.usedFiles);
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** The `ranker` section that runs a program. */
function programFor(file: string): string {
  const name = basename(file);
  return `{ kind: command, command: [${extname(file) === '.py' ? `python3, ${name}` : `./${name}`}] }`;
}

function healthOf(value: unknown, file: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw resultError(`guard() of ${file} returned ${showAnswer(value)}: it returns a number from 0 (broken text) to 1`);
}
