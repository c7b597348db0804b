/**
 * @file The votes of an arena. A log beside the arena keeps them and never loses one that was acknowledged. This file
 * also decides which bout comes next.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { append, LogReader, whileLocked } from '../files/durable-log.ts';
import { sha256 } from '../files/hash.ts';
import { type Arena, type Bout, boutsOf } from './arena.ts';

const VOTES = 'votes.jsonl';

/** What somebody says of two answers; `both-bad` is a tie of two that are not good. */
export const VOTE_CHOICES = ['first', 'second', 'tie', 'both-bad', 'skip'] as const;

const who = { bout: z.string(), annotator: z.string(), key: z.string(), timeMs: z.number() };
const vote = z.object({
  kind: z.literal('vote'),
  ...who,
  choice: z.enum(VOTE_CHOICES),
  /** Which text stood on the left. */
  left: z.enum(['first', 'second']),
  /** Seconds for which it was shown. */
  seconds: z.number(),
});
const undo = z.object({ kind: z.literal('undo'), ...who });
const event = z.discriminatedUnion('kind', [vote, undo]);

export type Vote = z.output<typeof vote>;
/** A vote, or that one is taken back. */
export type VoteEvent = z.output<typeof event>;

/** The log of an arena as it was written, and the votes that count: an annotator's latest vote on each bout, the latest last. */
export interface Votes {
  events: readonly VoteEvent[];
  standing: readonly Vote[];
}

/** Follows the votes of an arena, and reads each line of their log once. */
export class VoteLog {
  readonly folder: string;
  #reader: LogReader;
  #standing = new Map<string, Vote>();
  #keys = new Set<string>();
  #votes: Votes = { events: [], standing: [] };

  constructor(folder: string) {
    this.folder = folder;
    this.#reader = new LogReader(join(folder, VOTES));
  }

  /** The votes as they are now; the same object as before where none came. */
  read(): Votes {
    const { values, isAnew } = this.#reader.read();
    if (isAnew) {
      this.#standing = new Map();
      this.#keys = new Set();
    }
    const news = values.flatMap((value) => event.safeParse(value).data ?? []);
    for (const each of news) {
      const place = JSON.stringify([each.bout, each.annotator]);
      this.#standing.delete(place); // the latest stands last
      if (each.kind === 'vote') this.#standing.set(place, each);
      this.#keys.add(each.key);
    }
    if (news.length > 0 || isAnew) {
      const before = isAnew ? [] : this.#votes.events;
      this.#votes = { events: [...before, ...news], standing: [...this.#standing.values()] };
    }
    return this.#votes;
  }

  /** Whether something was said under this key. */
  has(key: string): boolean {
    this.read();
    return this.#keys.has(key);
  }
}

/** Reads the votes of an arena, once. */
export function readVotes(folder: string): Votes {
  return new VoteLog(folder).read();
}

/**
 * Keeps a vote, or takes one back; when it resolves, it is on the disk. The same key again changes nothing. Throws RunError
 * ARENA_BOUT_UNKNOWN.
 *
 * @param log of the arena; one that stays reads only what came since it was last read
 */
export async function castVote(log: VoteLog, arena: Arena, said: VoteEvent): Promise<void> {
  if (!boutsOf(arena).some(({ id }) => id === said.bout)) {
    throw new RunError(
      'ARENA_BOUT_UNKNOWN',
      'Cannot keep this vote: the arena does not have these two answers (any more): vote on the next ones',
    );
  }
  await whileLocked(log.folder, () => {
    if (!log.has(said.key)) append(log.folder, VOTES, [said]);
  });
}

/** The bouts that an annotator has not voted on: those with the fewest votes first, else in an order of its own. */
export function openBouts(arena: Arena, { standing }: Votes, annotator: string): Bout[] {
  const own = new Set(standing.filter((each) => each.annotator === annotator).map(({ bout }) => bout));
  const counts = new Map<string, number>();
  for (const { bout } of standing) counts.set(bout, (counts.get(bout) ?? 0) + 1);
  return boutsOf(arena)
    .filter(({ id }) => !own.has(id))
    .map((bout) => ({ bout, votes: counts.get(bout.id) ?? 0, order: sha256(`order of ${bout.id} for ${annotator}`) }))
    .sort((a, b) => a.votes - b.votes || (a.order < b.order ? -1 : 1))
    .map(({ bout }) => bout);
}

/** Which text stands left: a coin, thrown once for each annotator and bout. */
export function leftOfBout(bout: string, annotator: string): 'first' | 'second' {
  return Number.parseInt(sha256(`side of ${bout} for ${annotator}`).slice(0, 2), 16) % 2 === 0 ? 'first' : 'second';
}
