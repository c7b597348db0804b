/**
 * @file A group of n ranks in one process, for tests: each rank is a coroutine, a collective ends when all are in it, and
 * sums are added in the order of ranks. A rank that calls another collective than the others is an error at once.
 */
import { noGrad } from './autograd.ts';
import type { Group } from './group.ts';
import { add__Tensor, cat, clone, copy_, narrow } from './ops.ts';
import { outlive, scope, type Tensor } from './tensor.ts';

interface Arrival {
  name: string;
  tensors: readonly Tensor[];
  bytes: Uint8Array;
}

/** What the ranks of a group give each other at one collective: everybody's, in order, once all have arrived. */
class Meeting {
  readonly #size: number;
  #arrivals: (Arrival | undefined)[] = [];
  #waiting: { resolve: (all: Arrival[]) => void; reject: (error: Error) => void }[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  arrive(rank: number, arrival: Arrival): Promise<Arrival[]> {
    this.#arrivals[rank] = arrival;
    const here = this.#arrivals.filter((each) => each !== undefined);
    const names = here.map(({ name }) => name);
    const all = new Promise<Arrival[]>((resolve, reject) => void this.#waiting.push({ resolve, reject }));
    if (names.some((name) => name !== arrival.name)) {
      for (const { reject } of this.#waiting)
        reject(new Error(`Ranks are in different collectives: ${names.join(', ')}`));
    } else if (here.length === this.#size) {
      const waiting = this.#waiting;
      [this.#arrivals, this.#waiting] = [[], []];
      for (const { resolve } of waiting) resolve(here);
    }
    return all;
  }
}

/** The ranks of a group that lives in this process, in their order. */
export function groupInProcess(size: number): Group[] {
  const meeting = new Meeting(size);
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  return ranks.map((rank) => {
    const none = { tensors: [], bytes: new Uint8Array() };
    let before: Promise<unknown> = Promise.resolve();
    /** Collectives of a rank happen one after the other, as they were called. */
    const inTurn = <Result>(body: () => Promise<Result>): Promise<Result> => {
      const own = before.then(body);
      before = own.catch(() => {});
      return own;
    };
    /** Everybody reads what the others brought before anybody goes on and changes it. */
    const afterAll = async (name: string): Promise<void> => {
      await meeting.arrive(rank, { name: `end of ${name}`, ...none });
    };
    return {
      rank,
      size,
      sum: (name, tensors) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, tensors });
          if (rank === 0) scope('sum of ranks', () => noGrad(() => sumInto(all.map((each) => each.tensors))));
          await afterAll(name);
        }),
      reduceSlices: (name, whole, own) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, tensors: [whole] });
          const sum = outlive(scope('sum of slices', () => noGrad(() => sumSlices(all, own.size, rank))));
          await afterAll(name); // `own` may lie in the whole
          noGrad(() => copyInto([own], [sum]));
          sum.dispose();
        }),
      gatherSlices: (name, own, whole) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, tensors: [own] });
          const slices = all.flatMap(({ tensors }) => tensors);
          if (slices.some(({ size: length }) => length !== own.size) || whole.size !== size * own.size)
            throw new Error('Ranks gather slices of different lengths');
          noGrad(() => scope('gather slices', () => void copy_(whole, cat(slices))));
          await afterAll(name);
        }),
      broadcast: (name, tensors, from = 0) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, tensors });
          if (rank !== from) noGrad(() => copyInto(tensors, all[from]?.tensors ?? []));
          await afterAll(name);
        }),
      gather: (name, bytes) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, bytes });
          return rank === 0 ? all.map((each) => Uint8Array.from(each.bytes)) : [];
        }),
      share: (name, bytes) =>
        inTurn(async () => {
          const all = await meeting.arrive(rank, { name, ...none, bytes });
          return Uint8Array.from(all[0]?.bytes ?? []);
        }),
      barrier: (name) =>
        inTurn(async () => {
          await meeting.arrive(rank, { name, ...none });
        }),
    };
  });
}

function sumInto(lists: readonly (readonly Tensor[])[]): void {
  const [first = [], ...others] = lists;
  for (const [index, total] of first.entries()) {
    for (const other of others) {
      const term = other[index];
      if (term === undefined) throw new Error('Ranks sum lists of different lengths');
      add__Tensor(total, term);
    }
  }
  for (const other of others) copyInto(other, first);
}

/** The sum of the slices of one rank, in the order of the ranks that give them. */
function sumSlices(all: readonly Arrival[], length: number, rank: number): Tensor {
  const [first, ...others] = all.flatMap(({ tensors }) =>
    tensors.map((whole) => narrow(whole, 0, rank * length, length)),
  );
  if (first === undefined) throw new Error('Nobody gave a slice');
  const sum = clone(first);
  for (const other of others) add__Tensor(sum, other);
  return sum;
}

function copyInto(targets: readonly Tensor[], sources: readonly Tensor[]): void {
  for (const [index, target] of targets.entries()) {
    const source = sources[index];
    if (source === undefined) throw new Error('Ranks send lists of different lengths');
    scope('copy between ranks', () => void copy_(target, source));
  }
}
