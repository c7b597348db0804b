/**
 * @file A program in any language as ranker (docs/rewards.md). It gets one line of JSON a prompt on standard input,
 *
 *   {"id": 0, "promptId": "...", "prompt": "...", "messages": [...] or null, "responses": ["...", ...], "candidates": [...]}
 *
 * and writes one line of JSON an answer on standard output: `{"id": 0, "scores": [...]}` (one finite number a response,
 * higher is better), `{"id": 0, "order": [...]}` (their indices, best first), or `{"id": 0, "error": "..."}`.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { RankerError, shownValue } from '../../errors.ts';
import { sha256, sha256File } from '../../files/hash.ts';
import { inOrder } from '../in-order.ts';
import type { Ranker, RankItem, Ranking } from '../ranker.ts';
import type { RankerServices } from '../services.ts';
import { describeItem, questionOf, rankingOfAnswer } from '../user-verdict.ts';
import { Program } from './program.ts';

/** Settings of a command. */
export interface CommandSettings {
  /** Program and arguments. */
  command: readonly string[];
  /** Folder that it runs in, absolute. */
  folder: string;
  /** What its answers hold. */
  gives: 'scores' | 'order';
  /** Longest silence while a question waits, in milliseconds. */
  timeoutMs: number;
  /** Questions that wait at once. */
  concurrency: number;
  /** A prompt that it could not judge ends the run, or makes no pair. */
  onError: 'stop' | 'drop';
}

/** The first answer may take longer: programs load models. */
const START_MS = 600_000;
/** Lines of standard error that are shown while it works; a program that says more is not worth drowning in. */
const SHOWN_LINES = 200;

/**
 * Starts a program and asks it one trial question, so that what is wrong with it shows before anything is sampled.
 *
 * @throws RankerError RANKER_COMMAND_MISSING, RANKER_CRASHED, RANKER_TIMEOUT, RANKER_PROTOCOL, RANKER_RESULT
 */
export async function openCommandRanker(
  settings: CommandSettings,
  { signal, warn = () => {} }: Pick<RankerServices, 'signal' | 'warn'>,
): Promise<Ranker> {
  const { command, folder, gives, timeoutMs, concurrency, onError } = settings;
  const digests = await Promise.all(commandFiles(settings).map((path) => sha256File(path)));
  const program = await Program.start({ command, folder, tell: sparing(warn, command) });
  const abort = (): void => program.fail(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });

  async function ask(item: RankItem, silenceMs: number): Promise<Ranking> {
    const answer = await program.ask({ ...questionOf(item) }, { silenceMs });
    if (answer.error !== undefined) {
      const said = typeof answer.error === 'string' ? answer.error : shownValue(answer.error, 200);
      throw new RankerError('RANKER_THREW', `the command "${command.join(' ')}" answered with an error: ${said}`);
    }
    const who = `the field "${gives}" of the command "${command.join(' ')}"`;
    return rankingOfAnswer(item, answer[gives], { gives, who });
  }

  async function rankOne(item: RankItem): Promise<Ranking> {
    try {
      return await ask(item, timeoutMs);
    } catch (error) {
      if (!(error instanceof RankerError)) throw error;
      // A program that is gone would drop every prompt that is left.
      if (onError === 'drop' && program.failure === null)
        return { promptId: item.promptId, scores: null, order: [], ties: [], problem: error.message };
      throw new RankerError(error.code, `Cannot rank ${describeItem(item)}: ${error.message}`, {
        cause: error,
        details: { ...error.details, promptId: item.promptId },
      });
    }
  }

  try {
    await ask(TRIAL, Math.max(START_MS, timeoutMs));
  } catch (error) {
    await program.close();
    signal?.removeEventListener('abort', abort);
    if (!(error instanceof RankerError)) throw error;
    throw new RankerError(error.code, `Cannot use the ranker: asked on trial, ${error.message}`, {
      cause: error,
      details: error.details,
    });
  }

  return {
    id: `command:${command.join(' ')}:${gives}:sha256=${sha256(digests.join('\n'))}`,
    gives,
    rank: (items) => inOrder(items, rankOne, concurrency),
    textHealth: async () => null,
    async close() {
      signal?.removeEventListener('abort', abort);
      await program.close();
    },
  };
}

/** Files that a command names: its program and arguments that are files in (or from) its folder. */
export function commandFiles({ command, folder }: Pick<CommandSettings, 'command' | 'folder'>): string[] {
  return command
    .map((part) => resolve(folder, part))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

const TRIAL: RankItem = {
  promptId: 'trial',
  prompt: { kind: 'text', text: 'Hello' },
  candidates: ['Hello! How can I help you?', 'Good day.'].map((text, sampleIndex) => ({
    kind: 'response',
    sampleIndex,
    text,
  })),
};

/** Passes lines on, under the program's name, until there are too many. */
function sparing(warn: (text: string) => void, command: readonly string[]): (line: string) => void {
  let lines = 0;
  return (line) => {
    lines += 1;
    if (lines <= SHOWN_LINES) warn(`${command.at(-1) ?? ''}: ${line}`);
    if (lines === SHOWN_LINES) warn(`${command.at(-1) ?? ''}: further lines are not shown`);
  };
}
