/**
 * @file The work of `selm arena make`: it reads the prompts, has every contender answer each of them, and writes the
 * arena whole.
 */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { type Arena, boutsOf, isArena, writeArena } from '../arena/arena.ts';
import { readRecords } from '../data/formats/read.ts';
import type { Columns } from '../data/known-forms.ts';
import { collectRows, readRows } from '../data/read.ts';
import { DataError, FileError, JudgeError } from '../errors.ts';
import { sha256 } from '../files/hash.ts';
import { localFiles } from '../hub/local.ts';
import { openClient } from '../rank/judge/client.ts';
import type { JudgeMessage } from '../rank/judge/prompt.ts';
import { messageText } from '../text/message.ts';
import type { Prompt } from '../text/rendering.ts';
import { shownPrompt } from '../text/shown.ts';
import { UsageError } from './errors.ts';
import { withOutputModel } from './eval/output-model.ts';
import type { SharedListening } from './eval/stop.ts';
import { hubAccess } from './hub.ts';
import type { RanksOptions } from './ranks.ts';

/** Who answers: a name, and where the answers come from. */
export interface Contender {
  name: string;
  /** A model folder, `hub:owner/name`, `https://server/v1#model`, or a file of answers. */
  place: string;
}

export interface MakeArenaOptions extends RanksOptions {
  prompts: string;
  contenders: Contender[];
  columns: Columns;
  limit?: number;
  temperature: number;
  topP: number;
  maxNewTokens: number;
  seed: number;
  apiKeyVariable?: string;
  device?: string;
  store?: string;
}

/** Prompts of the arena. */
interface Asked {
  promptId: string;
  prompt: Prompt;
}

/** Longest wait for one answer of a server. */
const REPLY_MS = 120_000;
/** Tries of one answer. */
const TRIES = 3;

/** Makes the arena; what models answered is kept when it is stopped. Throws UsageError, DataError, ModelError, JudgeError. */
export async function makeArena(
  folder: string,
  options: MakeArenaOptions,
  listening: SharedListening,
): Promise<{ prompts: number; bouts: number }> {
  const { contenders, limit = null, temperature, topP, maxNewTokens, seed } = options;
  if (contenders.length < 2) throw new UsageError('An arena needs two contenders or more: --contenders name=place ...');
  // Before the work: models answer for minutes.
  if (isArena(folder))
    throw new FileError('FILE_EXISTS', `Cannot make arena "${folder}": one is there already: give another folder`);
  const asked = await readPrompts(options, limit);
  const answers: (string | null)[][] = [];
  for (const contender of contenders) {
    listening.say(`${contender.name}: answering ${asked.length} prompts`);
    answers.push(await answersOf(contender, asked, options, listening));
  }
  const arena: Omit<Arena, 'formatVersion'> = {
    createdAt: new Date().toISOString(),
    contenders: contenders.map(({ name, place }) => ({ name, source: place })),
    sampling: { temperature, topP, maxNewTokens, seed },
    prompts: asked.map(({ promptId, prompt }, index) => ({
      promptId,
      prompt: prompt.kind === 'text' ? prompt : { kind: 'chat', messages: prompt.messages.map(plainMessage) },
      shown: shownPrompt(prompt),
      answers: answers.map((each) => each[index] ?? null),
    })),
  };
  const bouts = boutsOf({ formatVersion: 1, ...arena }).length;
  if (bouts === 0)
    throw new DataError(
      'ARENA_ALIKE',
      `Cannot make arena "${folder}": no prompt has two different answers: give other contenders, or a higher --temperature`,
    );
  await writeArena(folder, arena);
  return { prompts: asked.length, bouts };
}

async function readPrompts({ prompts, columns }: MakeArenaOptions, limit: number | null): Promise<Asked[]> {
  const files = await localFiles([prompts], hubAccess());
  const rows = await collectRows(readRows(files, columns), { limit, onBadRow: 'stop' });
  return [...new Map(rows.map(({ promptId, prompt }) => [promptId, { promptId, prompt }])).values()];
}

function answersOf(
  { name, place }: Contender,
  asked: readonly Asked[],
  options: MakeArenaOptions,
  listening: SharedListening,
): Promise<(string | null)[]> {
  if (/^https?:\/\//.test(place)) return answersOfServer(place, asked, options, listening.signal);
  if (/\.jsonl(\.gz|\.zst)?$/.test(place) && existsSync(place)) return answersOfFile({ name, place }, asked);
  const { temperature, topP, maxNewTokens, seed } = options;
  return withOutputModel(place, options, listening, (model) =>
    model.sample(
      asked.map(({ prompt }) => (prompt.kind === 'text' ? model.asPrompt(prompt.text) : prompt)),
      { temperature, topP, maxNewTokens, seed },
    ),
  );
}

/** Rows with a prompt, or the id of one, and a response. */
const answerRow = z.object({
  prompt: z.string().optional(),
  prompt_id: z.string().optional(),
  promptId: z.string().optional(),
  response: z.string().optional(),
  output: z.string().optional(),
  text: z.string().optional(),
});

async function answersOfFile({ name, place }: Contender, asked: readonly Asked[]): Promise<(string | null)[]> {
  const found = new Map<string, string>();
  for await (const record of readRecords([place], (available) => available)) {
    const row = record.kind === 'record' ? answerRow.safeParse(record.value).data : undefined;
    const key = row?.promptId ?? row?.prompt_id ?? (row?.prompt === undefined ? undefined : sha256(row.prompt));
    const text = row?.response ?? row?.output ?? row?.text;
    if (key !== undefined && text !== undefined) found.set(key, text.trim());
  }
  const answers = asked.map(
    ({ promptId, prompt }) => found.get(promptId) ?? found.get(sha256(shownPrompt(prompt))) ?? null,
  );
  if (answers.some((answer) => answer !== null)) return answers;
  throw new DataError(
    'ARENA_ANSWERS_MISSING',
    `Cannot use the answers of "${name}": ${place} has none to any of the ${asked.length} prompts: a row has prompt or prompt_id, and response (or output, or text)`,
    { details: { file: place } },
  );
}

async function answersOfServer(
  place: string,
  asked: readonly Asked[],
  { temperature, maxNewTokens, apiKeyVariable }: MakeArenaOptions,
  signal: AbortSignal,
): Promise<(string | null)[]> {
  const [baseUrl = '', model = ''] = place.split('#', 2);
  if (model === '') throw new UsageError(`A server is given as https://server/v1#model, not as ${place}`);
  const apiKey = apiKeyVariable === undefined ? null : (process.env[apiKeyVariable] ?? '');
  if (apiKey === '')
    throw new UsageError(`The environment variable ${apiKeyVariable} of --api-key-variable is not set`);
  const client = openClient({ baseUrl, apiKey, timeoutMs: REPLY_MS });
  const answers: (string | null)[] = [];
  for (const { prompt } of asked) {
    signal.throwIfAborted();
    const messages = messagesFor(prompt);
    let problem = '';
    let text: string | null = null;
    for (let attempt = 0; attempt < TRIES && text === null; attempt++) {
      const reply = await client.send({ model, messages, temperature, maxTokens: maxNewTokens, logProbs: 'no' });
      if (reply.kind === 'answer') text = reply.answer.text;
      else problem = reply.problem;
      if (reply.kind === 'failure' && !reply.retry) break;
    }
    if (text === null)
      throw new JudgeError(
        'ARENA_SERVER',
        `Cannot get an answer of ${model} at ${baseUrl}: ${problem}: fix that and run the same command again; the answers so far are kept`,
      );
    answers.push(text.trim());
  }
  return answers;
}

function messagesFor(prompt: Prompt): JudgeMessage[] {
  if (prompt.kind === 'text') return [{ role: 'user', content: prompt.text }];
  return prompt.messages.map((message) => ({
    role: message.role === 'system' ? 'system' : message.role === 'assistant' ? 'assistant' : 'user',
    content: messageText(message),
  }));
}

/** A message as it is kept in a file: its fields, whatever they are. */
function plainMessage(message: Extract<Prompt, { kind: 'chat' }>['messages'][number]): {
  role: string;
  content: string | null;
} {
  return { ...message, content: typeof message.content === 'string' ? message.content : null };
}
