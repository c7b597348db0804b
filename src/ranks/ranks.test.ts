/**
 * @file Ranks that join, share work and leave. The ranks of a test live in one process, each with its own connection to
 * the table of keys, which rank 0 hosts.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { float32, toFloat32Array } from '../torch/tensor.ts';
import { follow } from './follow.ts';
import { type Identity, type JoinOptions, joinRanks, type Membership } from './join.ts';
import { merge } from './merge.ts';
import type { Place } from './place.ts';
import { environmentOf, withoutRanks } from './spawn.ts';
import { ALONE, openTeam, refuseIdle, type SharedWork, type Team } from './team.ts';

const folders: string[] = [];
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'selm-ranks-'));
  folders.push(path);
  return path;
}

const identity: Identity = { code: 'a', libtorch: '2.15', node: '20', recipe: { seed: 1 }, model: null, data: null };

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Lets ranks of one process join; `changes` are what some of them do otherwise. */
async function joinAll(
  size: number,
  {
    timeoutMs = 20_000,
    here = size,
    changes = {},
  }: {
    timeoutMs?: number;
    /** Ranks that come. */
    here?: number;
    changes?: Record<number, Partial<JoinOptions>>;
  } = {},
): Promise<PromiseSettledResult<Membership>[]> {
  const port = await freePort();
  const sharedFolder = folder();
  const joining = Array.from({ length: here }, (_, rank) => {
    const place: Place = {
      rank,
      size,
      localRank: rank,
      localSize: size,
      store: { host: '127.0.0.1', port, hosts: rank === 0 },
      spawns: 0,
      attempt: '0',
    };
    const mismatch = (own: Identity, other: Identity) => (own.code === other.code ? null : 'runs another version');
    return joinRanks(place, {
      identity,
      mismatch,
      sharedFolder,
      timeoutMs,
      ncclLibrary: '',
      say: () => {},
      ...changes[rank],
    });
  });
  const joined = await Promise.allSettled(joining);
  expect(readdirSync(sharedFolder), 'nothing is left in the folder').toEqual([]);
  return joined;
}

/** Lets rank 0 do `body` with the others as its team. */
async function withTeam<Result>(
  size: number,
  works: readonly SharedWork<never, never, unknown>[],
  body: (team: Team) => Promise<Result>,
): Promise<{ result: Result; others: unknown[] }> {
  const members = (await joinAll(size)).map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
  const [leader, ...followers] = members;
  if (leader === undefined) throw new Error('nobody joined');
  const following = followers.map(async (member) => {
    const ending = await follow(member, works).catch((error: unknown) => error);
    await member.leave('finished');
    return ending;
  });
  const result = await body(openTeam(leader.group, leader.store, leader.lost));
  await leader.leave('finished');
  return { result, others: await Promise.all(following) };
}

/** Squares numbers, and says who did. */
const squares: SharedWork<{ add: number }, number, { of: number; square: number; rank: number }> = {
  name: 'squares',
  async *run({ add }, items, { group }) {
    for (const item of items) {
      await sleep(1);
      yield { of: item, square: item * item + add, rank: group.rank };
    }
  },
};
const asWork = (work: unknown) => work as SharedWork<never, never, unknown>;

async function collect<Result>(results: AsyncIterable<Result>): Promise<Result[]> {
  const all: Result[] = [];
  for await (const result of results) all.push(result);
  return all;
}

it('one process does all of the work itself', async () => {
  const results = await collect(ALONE.share(squares, { add: 1 }, [2, 3]));
  expect(results.map(({ square }) => square)).toEqual([5, 10]);
});

it('ranks share work: every item is done once, by all of them, task after task', async () => {
  const items = Array.from({ length: 20 }, (_, index) => index);
  const { result, others } = await withTeam(3, [asWork(squares)], async (team) => {
    const first = await collect(team.share(squares, { add: 0 }, items));
    const second = await collect(team.share(squares, { add: 1 }, [7]));
    const none = await collect(team.share(squares, { add: 1 }, []));
    return { first, second, none };
  });
  expect(result.first.map(({ of }) => of).sort((a, b) => a - b)).toEqual(items);
  expect(result.first.every(({ of, square }) => square === of * of)).toBe(true);
  expect(new Set(result.first.map(({ rank }) => rank))).toEqual(new Set([0, 1, 2]));
  expect(result.second).toEqual([{ of: 7, square: 50, rank: 0 }]); // two ranks have nothing to do
  expect(result.none).toEqual([]);
  expect(others).toEqual(['finished', 'finished']);
});

it('work beside rank 0 has the group: all ranks are in the same collectives', async () => {
  const sumRanks = async ({ group }: Team): Promise<number> => {
    const tensor = float32([group.rank + 1]);
    await group.sum('ranks', [tensor]);
    const [sum = 0] = toFloat32Array(tensor);
    tensor.dispose();
    return sum;
  };
  const adding: SharedWork<null, never, never> = {
    name: 'adding',
    async *run(_, __, { group }) {
      await sumRanks({ ...ALONE, group });
      yield* [];
    },
  };
  const { result } = await withTeam(3, [asWork(adding)], (team) =>
    team.beside(
      adding,
      () => null,
      () => sumRanks(team),
    ),
  );
  expect(result).toBe(6);
});

it("what fails at another rank is rank 0's error, with its number", async () => {
  const failing: SharedWork<null, number, number> = {
    name: 'failing',
    async *run(_, items, { group }) {
      if (group.rank === 1) throw new Error('the disk is on fire');
      yield* items;
    },
  };
  const { result } = await withTeam(2, [asWork(failing)], (team) =>
    collect(team.share(failing, null, [1, 2, 3])).catch((error: unknown) => error),
  );
  expect(result).toMatchObject({ code: 'RANK_FAILED', message: expect.stringContaining('Rank 1 failed: the disk is') });
});

it('a wish to stop is heard while only another rank still works', async () => {
  const slow: SharedWork<null, number, number> = {
    name: 'slow',
    async *run(_, items, { group }) {
      if (group.rank === 1) await sleep(3000);
      yield* items;
    },
  };
  const stop = new AbortController();
  const { result } = await withTeam(2, [asWork(slow)], async (team) => {
    setTimeout(() => stop.abort(new Error('stopped by a signal')), 100);
    const startedMs = performance.now();
    const ending = await collect(team.share(slow, null, [1, 2], stop.signal)).catch((error: unknown) => error);
    return { ending, ms: performance.now() - startedMs };
  });
  expect(result.ending).toMatchObject({ message: 'stopped by a signal' });
  expect(result.ms).toBeLessThan(2500);
});

it('a rank that is missing is named, when the time is over', async () => {
  const [first] = await joinAll(3, { here: 2, timeoutMs: 600 });
  expect(first).toMatchObject({
    reason: { code: 'RANKS_MISSING', message: expect.stringContaining('rank 2 did not come within 0.6 s') },
  });
});

it('a rank that runs something else is refused before any work, and leaves', async () => {
  const [first, second] = await joinAll(2, { changes: { 1: { identity: { ...identity, code: 'b' } } } });
  expect(first).toMatchObject({
    reason: { code: 'RANKS_DIFFER', message: expect.stringContaining('rank 1 runs another version') },
  });
  expect(second).toMatchObject({ status: 'rejected' });
});

it('a rank that does not see the folder of rank 0 is refused before any work', async () => {
  const [first, second] = await joinAll(2, { changes: { 1: { finds: () => false } } });
  expect(first).toMatchObject({
    reason: { code: 'RANKS_FOLDER', message: expect.stringContaining('rank 1 does not see the folder') },
  });
  expect(second).toMatchObject({ status: 'rejected' });
});

it('a rank whose clock is another than that of rank 0 is refused before any work', async () => {
  const [first, second] = await joinAll(2, { changes: { 1: { clock: () => Date.now() + 3_600_000 } } });
  expect(first).toMatchObject({
    reason: { code: 'RANKS_CLOCK', message: expect.stringContaining("rank 1 is 3600 s from rank 0's") },
  });
  expect(second).toMatchObject({ status: 'rejected' });
});

it('more ranks than prompts are refused, one process never', () => {
  const items = { count: 3, what: 'the smallest slice of prompts' };
  expect(() => refuseIdle({ size: 4 }, items)).toThrow(
    expect.objectContaining({ code: 'RANKS_IDLE', message: expect.stringContaining('has 3, and each rank takes') }),
  );
  refuseIdle({ size: 3 }, items);
  refuseIdle({ size: 1 }, { ...items, count: 0 });
});

it('results of several streams come as they are there, and the first error ends all', async () => {
  async function* slow(name: string, delaysMs: number[]): AsyncGenerator<string> {
    for (const [index, ms] of delaysMs.entries()) {
      await sleep(ms);
      yield `${name}${index}`;
    }
  }
  expect(await collect(merge([slow('a', [30, 60]), slow('b', [5])]))).toEqual(['b0', 'a0', 'a1']);
  async function* broken(): AsyncGenerator<string> {
    yield await sleep(5).then(() => Promise.reject(new Error('broken')));
  }
  await expect(collect(merge([slow('a', [1000]), broken()]))).rejects.toThrow('broken');
});

it('a rank that is started here gets the variables of torchrun, and none of another launcher', () => {
  const place: Place = {
    rank: 4,
    size: 8,
    localRank: 0,
    localSize: 4,
    store: { host: 'node-0', port: 29500, hosts: false },
    spawns: 3,
    attempt: '0',
  };
  const environment = environmentOf({ PATH: '/bin', PET_NNODES: '2', SLURM_PROCID: '1' }, place, {
    index: 2,
    port: 29500,
  });
  expect(environment).toMatchObject({
    PATH: '/bin',
    RANK: '6',
    WORLD_SIZE: '8',
    LOCAL_RANK: '2',
    MASTER_ADDR: 'node-0',
  });
  expect(environment.PET_NNODES).toBeUndefined();
  expect(withoutRanks(['selm', 'train', 'r.yaml', '--ranks', '4', '--json'])).toEqual([
    'selm',
    'train',
    'r.yaml',
    '--json',
  ]);
  expect(withoutRanks(['selm', 'train', '--ranks=4', 'r.yaml'])).toEqual(['selm', 'train', 'r.yaml']);
});
