/**
 * @file An arena on disk: answers of several contenders (saved models of runs, the base, a judge) to the same prompts, in the file
 * `arena.json` of a folder of its own. It is written once, whole; votes are appended beside it (votes.ts).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { fileError } from '../files/fs.ts';
import { sha256 } from '../files/hash.ts';
import { createFile } from '../files/new-file.ts';

/** Version of the file that this program writes. */
export const ARENA_FORMAT_VERSION = 1;
/** Name of the file that makes a folder an arena. */
export const ARENA_FILE = 'arena.json';

const promptSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('text'), text: z.string() }),
  z.object({
    kind: z.literal('chat'),
    messages: z.array(z.object({ role: z.string(), content: z.string().nullable() }).loose()),
  }),
]);
const arenaSchema = z.object({
  formatVersion: z.literal(ARENA_FORMAT_VERSION),
  createdAt: z.string(),
  /** `source`: a model's folder, a server and its model, or a file of answers. */
  contenders: z.array(z.object({ name: z.string(), source: z.string() })),
  sampling: z.object({
    temperature: z.number(),
    topP: z.number(),
    maxNewTokens: z.number(),
    seed: z.number(),
  }),
  prompts: z.array(
    z.object({
      promptId: z.string(),
      prompt: promptSchema,
      /** As a person reads it. */
      shown: z.string(),
      /** In the order of the contenders; null: it had none. */
      answers: z.array(z.string().nullable()),
    }),
  ),
});

/** Contenders, prompts and answers. */
export type Arena = z.output<typeof arenaSchema>;
export type ArenaPrompt = Arena['prompts'][number];

/** Two different answers to one prompt. Contenders who gave the same text share it, and a vote counts for each of them. */
export interface Bout {
  /** Made of the prompt and the texts alone: it tells no contender. */
  id: string;
  prompt: ArenaPrompt;
  texts: readonly [string, string];
  /** Indices of the contenders who gave the first text, and of those who gave the second. */
  contenders: readonly [readonly number[], readonly number[]];
}

/** Writes a new arena. Throws FileError FILE_EXISTS where one is. */
export async function writeArena(folder: string, arena: Omit<Arena, 'formatVersion'>): Promise<void> {
  const text = JSON.stringify({ formatVersion: ARENA_FORMAT_VERSION, ...arena } satisfies Arena);
  await createFile(join(folder, ARENA_FILE), async (temporaryPath) => writeFileSync(temporaryPath, text));
}

/** Whether a folder holds an arena. */
export function isArena(folder: string): boolean {
  return existsSync(join(folder, ARENA_FILE));
}

/** Reads an arena. Throws RunError ARENA_MISSING, ARENA_NEWER or ARENA_DAMAGED, or FileError. */
export function readArena(folder: string): Arena {
  const path = join(folder, ARENA_FILE);
  if (!isArena(folder)) {
    throw new RunError(
      'ARENA_MISSING',
      `Cannot open arena "${folder}": there is no ${ARENA_FILE} in it: make one with \`selm arena make\``,
    );
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(error, { action: 'read', path });
  }
  const value = parsed(text);
  const version = z.object({ formatVersion: z.number() }).safeParse(value).data?.formatVersion ?? 0;
  if (version > ARENA_FORMAT_VERSION) {
    throw new RunError(
      'ARENA_NEWER',
      `Cannot open arena "${folder}": its format ${version} is newer than ${ARENA_FORMAT_VERSION}, the newest that this selm reads: use a newer selm`,
    );
  }
  const arena = arenaSchema.safeParse(value);
  if (arena.success) return arena.data;
  const [issue] = arena.error.issues;
  throw new RunError(
    'ARENA_DAMAGED',
    `Cannot open arena "${folder}": ${ARENA_FILE} is not what selm wrote (${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'no JSON'}): restore it, or make the arena again in another folder`,
  );
}

/** Made once of each arena that was read: an arena does not change. */
const madeBouts = new WeakMap<Arena, readonly Bout[]>();

/** Everything that can be asked about an arena: the different answers to each prompt, two at a time. */
export function boutsOf(arena: Arena): readonly Bout[] {
  const known = madeBouts.get(arena) ?? makeBouts(arena);
  madeBouts.set(arena, known);
  return known;
}

function makeBouts({ prompts }: Arena): Bout[] {
  return prompts.flatMap((prompt) => {
    const holders = new Map<string, number[]>();
    for (const [contender, answer] of prompt.answers.entries())
      if (answer !== null) holders.set(answer, [...(holders.get(answer) ?? []), contender]);
    const texts = [...holders.keys()].sort();
    return texts.flatMap((first, place) =>
      texts.slice(place + 1).map(
        (second): Bout => ({
          id: sha256(JSON.stringify(['bout', prompt.promptId, first, second])).slice(0, 32),
          prompt,
          texts: [first, second],
          contenders: [holders.get(first) ?? [], holders.get(second) ?? []],
        }),
      ),
    );
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // no JSON is no arena
  }
}
