/**
 * @file Work that ranks share. Rank 0 runs the program; the others wait for work that it names (follow.ts), do their part
 * of it, and post what they find. One process alone does all of it itself, and pays nothing for the others' absence.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { RankLostError, RanksError } from '../errors.ts';
import { ALONE as GROUP_ALONE, type Group } from '../torch/group.ts';
import type { KeyStore } from '../torch/key-store.ts';
import { merge } from './merge.ts';

/** What a rank does its part of the work with. */
export interface WorkSurroundings {
  group: Group;
  /** Aborted when the run is to stop. */
  signal: AbortSignal | undefined;
}

/**
 * Work on items that any rank can do: a function of a setting and some items, both plain data. Its results belong to the
 * items, so that it does not matter who found them.
 */
export interface SharedWork<Setting, Item, Result> {
  /** The same at all ranks. */
  name: string;
  run(setting: Setting, items: readonly Item[], surroundings: WorkSurroundings): AsyncIterable<Result>;
}

/** The ranks as rank 0 sees them. */
export interface Team {
  readonly group: Group;
  /** Every rank does its part of the items; results come as they are found. */
  share<Setting, Item, Result>(
    work: SharedWork<Setting, Item, Result>,
    setting: Setting,
    items: readonly Item[],
    signal?: AbortSignal,
  ): AsyncIterable<Result>;
  /** The other ranks do `work` while this one does `own`, which is the same with results for the user. */
  beside<Setting, Own>(
    work: SharedWork<Setting, never, never>,
    setting: () => Setting,
    own: (group: Group) => Promise<Own>,
  ): Promise<Own>;
}

/** One process. */
export const ALONE: Team = {
  group: GROUP_ALONE,
  share: (work, setting, items, signal) => work.run(setting, items, { group: GROUP_ALONE, signal }),
  beside: (_, __, own) => own(GROUP_ALONE),
};

/**
 * Refuses ranks that would have nothing to do in a whole run, which is a mistake in how it was started; within one, a rank without an
 * item is an ordinary case. Throws RanksError RANKS_IDLE.
 */
export function refuseIdle({ size }: Pick<Group, 'size'>, items: { count: number; what: string }): void {
  if (size <= items.count || size === 1) return;
  throw new RanksError(
    'RANKS_IDLE',
    `Cannot run on ${size} ranks: ${items.what} has ${items.count}, and each rank takes at least one: start at most ${items.count}`,
    { details: { ranks: size, items: items.count } },
  );
}

/** The items of one rank: every `size`-th, so that neighbours, which are alike, go to different ranks. */
export function partOf<Item>(items: readonly Item[], { rank, size }: Pick<Group, 'rank' | 'size'>): Item[] {
  return items.filter((_, index) => index % size === rank);
}

/** Work as it goes to the other ranks. */
export interface Task {
  name: string;
  setting: unknown;
  items: readonly unknown[];
}

/** What a rank posts: results as they come, then how its part ended. */
export type Mail =
  | { kind: 'results'; results: unknown[] }
  | { kind: 'done' }
  | { kind: 'failed'; code: string; message: string };

export const taskKey = (task: number): string => `task/${task}`;
export const mailKey = (task: number, rank: number, index: number): string => `mail/${task}/${rank}/${index}`;
export const taskName = (task: number, name: string): string => `${name} (task ${task})`;

/** How often a key that another rank sets is looked for. */
export const POLL_MS = 20;

/** The team of several ranks, at rank 0. `lost` rejects when a rank is known to be gone. */
export function openTeam(group: Group, store: KeyStore, lost: Lost): Team {
  let tasks = 0;
  const announce = async (task: Task): Promise<number> => {
    tasks += 1;
    await store.set(taskKey(tasks), task.name);
    await group.share(taskName(tasks, task.name), serialize(task));
    return tasks;
  };
  const others = Array.from({ length: group.size - 1 }, (_, index) => index + 1);
  return {
    group,
    async *share<Setting, Item, Result>(
      work: SharedWork<Setting, Item, Result>,
      setting: Setting,
      items: readonly Item[],
      signal?: AbortSignal,
    ) {
      if (items.length === 0) return;
      const task = await announce({ name: work.name, setting, items });
      const own = work.run(setting, partOf(items, group), { group, signal });
      // Only ranks of this very code post here (join.ts), so that what comes is what `work` gives.
      const theirs = others.map((rank) => mailOf(store, { task, rank, lost, signal }) as AsyncIterable<Result>);
      yield* merge([own, ...theirs]);
    },
    async beside(work, setting, own) {
      const task = await announce({ name: work.name, setting: setting(), items: [] });
      const result = await own(group);
      for (const rank of others) for await (const _ of mailOf(store, { task, rank, lost, signal: undefined }));
      return result;
    },
  };
}

/** Whether a rank is known to be gone, and how that was noticed. */
export interface Lost {
  /** Throws RankLostError where it is. */
  check(rank: number): Promise<void>;
}

/** What a rank posts about a task, until it says that it is done. Throws the aborted signal's reason, and RankLostError RANK_FAILED or RANK_LOST. */
async function* mailOf(
  store: KeyStore,
  { task, rank, lost, signal }: { task: number; rank: number; lost: Lost; signal: AbortSignal | undefined },
): AsyncGenerator<unknown> {
  for (let index = 0; ; index++) {
    const key = mailKey(task, rank, index);
    let bytes = await store.get(key);
    while (bytes === null) {
      await sleep(POLL_MS);
      signal?.throwIfAborted();
      await lost.check(rank);
      bytes = await store.get(key);
    }
    await store.delete(key);
    const mail = deserialize(bytes) as Mail; // of a rank of this very code
    switch (mail.kind) {
      case 'results':
        yield* mail.results;
        break;
      case 'done':
        return;
      case 'failed':
        throw new RankLostError('RANK_FAILED', `Rank ${rank} failed: ${mail.message} (${mail.code})`, {
          details: { rank, code: mail.code },
        });
    }
  }
}
