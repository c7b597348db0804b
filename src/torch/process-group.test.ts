/** @file Groups of ranks: what collectives do, alike in one process and over Gloo, and what is said when one fails. */
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { groupInProcess } from './group.testing.ts';
import { ALONE, type Group } from './group.ts';
import { KeyStore } from './key-store.ts';
import { memoryStatistics } from './memory.ts';
import { narrow } from './ops.ts';
import { openProcessGroup, type ProcessGroup } from './process-group.ts';
import { disposeAll, float32, toFloat32Array } from './tensor.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close();
});

/** Gloo's ranks may be in one process: each has its own connection to the store and its own group. */
async function glooGroups(size: number, timeoutMs = 5000): Promise<ProcessGroup[]> {
  const host = await KeyStore.open({ host: '127.0.0.1', port: 0, hosts: true }, { timeoutMs: 5000 });
  open.push(host);
  const address = { host: '127.0.0.1', port: host.port, hosts: false };
  return Promise.all(
    Array.from({ length: size }, async (_, rank) => {
      const store = await KeyStore.open(address, { timeoutMs: 5000 });
      const place = { rank, size, timeoutMs, networkInterface: '', host: '127.0.0.1', ncclLibrary: '' };
      const group = await openProcessGroup(store, place);
      open.push(store, group);
      return group;
    }),
  );
}

/** What every rank of a group has after a body that all of them run. */
function everyRank<Result>(groups: readonly Group[], body: (group: Group) => Promise<Result>): Promise<Result[]> {
  return Promise.all(groups.map(body));
}

const KINDS: [string, (size: number) => Promise<Group[]>][] = [
  ['in one process', async (size) => groupInProcess(size)],
  ['over Gloo', glooGroups],
];

describe.each(KINDS)('a group %s', (_, groupOf) => {
  it.each([2, 3])('of %i ranks sums tensors of any shape, at every rank to the same bits', async (size) => {
    const groups = await groupOf(size);
    const sums = await everyRank(groups, async (group) => {
      const tensors = [
        float32([group.rank + 0.1, 2, 3, 4], { shape: [2, 2] }),
        float32([10 * group.rank]),
        float32([]),
      ];
      await group.sum('numbers', tensors);
      const values = tensors.map((tensor) => Array.from(toFloat32Array(tensor)));
      disposeAll(tensors);
      return values;
    });
    const ranks = Array.from({ length: size }, (__, rank) => rank);
    const total = ranks.reduce((sum, rank) => sum + rank, 0);
    expect(sums[0]?.[0]?.[0]).toBeCloseTo(total + 0.1 * size, 5); // fp32
    expect(sums[0]?.[0]?.slice(1)).toEqual([2 * size, 3 * size, 4 * size]);
    expect(sums[0]?.[1]).toEqual([10 * total]);
    for (const each of sums) expect(each).toEqual(sums[0]);
  });

  it('adds the slices of every rank in the order of ranks, and gathers them again, also in place', async () => {
    const before = memoryStatistics().liveTensors;
    const values = (rank: number) => [0.1, 0.2, 0.3, 1, 2, 3].map((value) => Math.fround(value * (rank + 1)));
    const results = await everyRank(await groupOf(3), async (group) => {
      const whole = float32(values(group.rank));
      const own = narrow(whole, 0, 2 * group.rank, 2);
      await group.reduceSlices('gradients', whole, own);
      const sums = Array.from(toFloat32Array(own));
      await group.gatherSlices('weights', own, whole);
      const all = Array.from(toFloat32Array(whole));
      disposeAll([whole, own]);
      return { sums, all };
    });
    const [a, b, c] = [0, 1, 2].map((rank) => Float32Array.from(values(rank)));
    const expected = values(0).map((_, i) => Math.fround(Math.fround((a?.[i] ?? 0) + (b?.[i] ?? 0)) + (c?.[i] ?? 0)));
    expect(results.flatMap(({ sums }) => sums)).toEqual(expected);
    for (const { all } of results) expect(all).toEqual(expected);
    expect(memoryStatistics().liveTensors).toBe(before);
  });

  it('sends the tensors of one rank to all', async () => {
    const sent = await everyRank(await groupOf(3), async (group) => {
      const tensor = float32([group.rank, -group.rank]);
      await group.broadcast('weights', [tensor], 2);
      const values = Array.from(toFloat32Array(tensor));
      tensor.dispose();
      return values;
    });
    expect(sent).toEqual([
      [2, -2],
      [2, -2],
      [2, -2],
    ]);
  });

  it('gathers bytes of different lengths at rank 0, and shares those of rank 0', async () => {
    const before = memoryStatistics().liveTensors;
    const results = await everyRank(await groupOf(3), async (group) => {
      const own = new TextEncoder().encode('x'.repeat(group.rank));
      const gathered = await group.gather('texts', own);
      const shared = await group.share('plan', group.rank === 0 ? new TextEncoder().encode('the plan') : own);
      await group.barrier('end');
      return [gathered.map((bytes) => new TextDecoder().decode(bytes)), new TextDecoder().decode(shared)];
    });
    expect(results).toEqual([
      [['', 'x', 'xx'], 'the plan'],
      [[], 'the plan'],
      [[], 'the plan'],
    ]);
    expect(memoryStatistics().liveTensors).toBe(before);
  });
});

it('one process alone is a group whose collectives change nothing', async () => {
  const tensor = float32([1.5]);
  await ALONE.sum('numbers', [tensor]);
  expect(toFloat32Array(tensor)[0]).toBe(1.5);
  tensor.dispose();
  expect(await ALONE.gather('texts', Uint8Array.of(7))).toEqual([Uint8Array.of(7)]);
});

it('a sum has the same bits each time it is made', async () => {
  const groups = await glooGroups(3);
  const values = (rank: number): number[] =>
    Array.from({ length: 1000 }, (_, i) => Math.sin(i * 3 + rank) * 10 ** (i % 7));
  const once = () =>
    everyRank(groups, async (group) => {
      const tensor = float32(values(group.rank));
      await group.sum('numbers', [tensor]);
      const bits = Array.from(toFloat32Array(tensor));
      tensor.dispose();
      return bits;
    });
  const [first, second] = [await once(), await once()];
  expect(second).toEqual(first);
  expect(first[1]).toEqual(first[0]);
});

it('the event loop turns while a rank waits', async () => {
  const [one, other] = await glooGroups(2);
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 5);
  const waiting = one?.barrier('together');
  await new Promise((resolve) => setTimeout(resolve, 100));
  await Promise.all([waiting, other?.barrier('together')]);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});

it('a collective goes on while JavaScript computes', async () => {
  const groups = await glooGroups(2);
  const wholes = groups.map(() => float32([0, 0]));
  const owns = groups.map(({ rank }) => float32([rank + 1]));
  const gathering = groups.map((group, rank) => {
    const [own, whole] = [owns[rank], wholes[rank]];
    if (own === undefined || whole === undefined) throw new Error('A tensor a rank');
    return group.gatherSlices('weights', own, whole);
  });
  const values = (): number[] => wholes.flatMap((whole) => [...toFloat32Array(whole)]);
  // No turn of the event loop: the engine alone can fill them.
  const until = performance.now() + 10_000;
  while (values().includes(0) && performance.now() < until);
  expect(values()).toEqual([1, 2, 1, 2]);
  await Promise.all(gathering);
  disposeAll([wholes, owns]);
});

it('a collective in which a rank is missing ends after the time-out, and says who waits where', async () => {
  const [one, other] = await glooGroups(2, 700);
  await Promise.all([one?.barrier('start of step 3'), other?.barrier('start of step 3')]);
  await expect(one?.barrier('gradients of step 3')).rejects.toThrow(
    /Rank 0 waited \d+ s in gradients of step 3 \(collective 2\): rank 1 is in start of step 3 \(collective 1\)/,
  );
}, 20_000);

it('a port that is in use is said to be, with the variable that names it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  open.push(server);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(KeyStore.open({ host: '127.0.0.1', port, hosts: true }, { timeoutMs: 2000 })).rejects.toThrow(
    `port ${port} of this machine is in use: set MASTER_PORT`,
  );
});

it('a store that nobody hosts is said to be unreachable', async () => {
  const address = { host: '127.0.0.1', port: 9, hosts: false };
  await expect(KeyStore.open(address, { timeoutMs: 500 })).rejects.toThrow(
    'nobody answers at 127.0.0.1:9 (MASTER_ADDR, MASTER_PORT) within 0.5 s',
  );
});
