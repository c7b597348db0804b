/** @file Arenas as pages show them: two answers without a name, votes that are on the disk when they are acknowledged, ratings. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ARENA_FILE, type Arena, type Bout, boutsOf, readArena } from '../arena/arena.ts';
import { standingsOf } from '../arena/standings.ts';
import { castVote, leftOfBout, openBouts, VoteLog, type Votes } from '../arena/votes.ts';
import { RunError, SelmError } from '../errors.ts';
import type { ArenaItem, ArenaStandings, GivenVote, OpenBouts, ShownBout } from './api.ts';
import { listArenas } from './run-list.ts';

/** Bouts that a page is given at once: the next is there while the last vote is on its way. */
const NEXT = 5;

/** Parser of a vote. */
export const givenVote = z.strictObject({
  bout: z.string().max(100),
  choice: z.enum(['left', 'right', 'tie', 'both-bad', 'skip', 'undo']),
  seconds: z.number().min(0).max(1e6),
  key: z.string().min(8).max(100),
}) satisfies z.ZodType<GivenVote>;

/** An arena that was read. */
interface OpenArena {
  /** Which file it was. */
  stamp: string;
  arena: Arena;
  log: VoteLog;
  /** The ratings, and the votes that they are of. */
  rated: { votes: Votes; standings: ArenaStandings } | null;
}

/** The arenas below some folders; what was read of one stays until its file changes. */
export class Arenas {
  readonly #folders: readonly string[];
  readonly #open = new Map<string, OpenArena>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** All that can be read, with what is left in them for a voter. */
  items(voter: string): ArenaItem[] {
    return listArenas(this.#folders).flatMap(({ id, path }) => {
      try {
        const opened = this.#opened(path);
        const { open, own } = openFor(opened, voter);
        return [{ id, prompts: opened.arena.prompts.length, open, own }];
      } catch (error) {
        if (error instanceof SelmError) return []; // its own page says why
        throw error;
      }
    });
  }

  /** What an arena asks a voter. Throws RunError STUDIO_ARENA_UNKNOWN, or what reading it throws. */
  bouts(id: string, voter: string): OpenBouts {
    return openFor(this.#opened(this.#path(id)), voter);
  }

  /** Keeps a vote. Throws RunError ARENA_BOUT_UNKNOWN too. */
  async vote(id: string, given: GivenVote, { voter, timeMs }: { voter: string; timeMs: number }): Promise<OpenBouts> {
    const opened = this.#opened(this.#path(id));
    const { arena, log } = opened;
    const { bout, choice, seconds, key } = given;
    const who = { bout, annotator: voter, key, timeMs };
    const left = leftOfBout(bout, voter);
    const right = left === 'first' ? 'second' : 'first';
    const said = choice === 'left' ? left : choice === 'right' ? right : choice;
    if (said === 'undo') await castVote(log, arena, { kind: 'undo', ...who });
    else await castVote(log, arena, { kind: 'vote', ...who, choice: said, left, seconds });
    return openFor(opened, voter);
  }

  /** Ratings by all votes; they are computed when votes came. */
  standings(id: string): ArenaStandings {
    const opened = this.#opened(this.#path(id));
    const votes = opened.log.read();
    if (opened.rated?.votes !== votes) opened.rated = { votes, standings: standingsOf(opened.arena, votes) };
    return opened.rated.standings;
  }

  #path(id: string): string {
    const found = listArenas(this.#folders).find((each) => each.id === id);
    if (found !== undefined) return found.path;
    throw new RunError(
      'STUDIO_ARENA_UNKNOWN',
      `Cannot show arena "${id.slice(0, 100)}": it is not there any more, or never was: go back to the list`,
    );
  }

  #opened(path: string): OpenArena {
    const file = statSync(join(path, ARENA_FILE), { throwIfNoEntry: false });
    const stamp = `${file?.ino}:${file?.mtimeMs}:${file?.size}`;
    const known = this.#open.get(path);
    if (known?.stamp === stamp) return known;
    const opened = { stamp, arena: readArena(path), log: new VoteLog(path), rated: null };
    this.#open.set(path, opened);
    return opened;
  }
}

function openFor({ arena, log }: OpenArena, voter: string): OpenBouts {
  const votes = log.read();
  const open = openBouts(arena, votes, voter);
  const own = votes.standing.filter(({ annotator }) => annotator === voter);
  const last = boutsOf(arena).find(({ id }) => id === own.at(-1)?.bout);
  return {
    next: open.slice(0, NEXT).map((bout) => shown(bout, voter)),
    open: open.length,
    own: own.length,
    undoable: last === undefined ? null : shown(last, voter),
  };
}

function shown({ id, prompt, texts: [first, second] }: Bout, voter: string): ShownBout {
  const [left, right] = leftOfBout(id, voter) === 'first' ? [first, second] : [second, first];
  return { id, prompt: prompt.shown, left, right };
}
