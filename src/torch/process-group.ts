/**
 * @file A group of processes over PyTorch's collectives: Gloo, and NCCL beside it for tensors on GPUs. A collective waits off
 * the event loop. One that fails says in which collective this rank waited and where the others are: each tells the key
 * store where it goes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RankLostError } from '../errors.ts';
import type { Group } from './group.ts';
import type { KeyStore } from './key-store.ts';
import { native } from './native.ts';
import { disposeAll, int64, outlive, type Tensor, tensorFrom, toBytes, toIntegers } from './tensor.ts';

/** Set by rank 0 when the run has ended: whoever waits in a collective then waits for nothing. */
export const END_KEY = 'end';

/** How often a living rank counts up, and how long one may be silent before it is called gone. */
const BEAT_MS = 500;
const SILENCE_MS = 3000;

/** A group that is closed when its work is done. */
export interface ProcessGroup extends Group {
  close(): void;
}

/** Where this rank stands, and how the ranks reach each other. */
export interface ProcessGroupOptions {
  rank: number;
  size: number;
  /** Longest wait of one collective. */
  timeoutMs: number;
  /** Name of a network interface; '' takes the one of `host`. */
  networkInterface: string;
  /** Name or address of this machine; '' for the machine's own name. */
  host: string;
  /** Path of the engine's NCCL part, where ranks compute on GPUs (nccl.ts); '' on processors. */
  ncclLibrary: string;
}

/** Opens the group that meets in a key store; returns when all its ranks have. Throws RankLostError. */
export async function openProcessGroup(store: KeyStore, options: ProcessGroupOptions): Promise<ProcessGroup> {
  const { rank, size, timeoutMs, networkInterface, host, ncclLibrary } = options;
  store.beat(beatKey(rank), BEAT_MS);
  const prefix = `${store.prefix}/group`;
  const id = await native().openGroup(store.id, prefix, rank, size, networkInterface, host, timeoutMs, ncclLibrary);
  let entered = 0;
  let before: Promise<unknown> = Promise.resolve();

  const enter = async <Result>(name: string, body: () => Promise<Result>): Promise<Result> => {
    entered += 1;
    const at = `${name} (collective ${entered})`;
    // Where this rank goes is for the others' errors: its own work does not wait for the telling.
    store.set(placeKey(rank), at).catch(() => {});
    const startedMs = performance.now();
    try {
      return await body();
    } catch (cause) {
      const waitedMs = performance.now() - startedMs;
      throw await explainFailure(store, { rank, size, at, waitedMs, cause });
    }
  };
  let waiting = 0;
  /** After all that was called before. */
  const inTurn = <Result>(name: string, body: () => Promise<Result>): Promise<Result> => {
    waiting += 1;
    const own = before
      .then(() => enter(name, body))
      .finally(() => {
        waiting -= 1;
      });
    before = own.catch(() => {});
    return own;
  };
  /** A collective of one message takes its turn in the engine: it begins also while this thread computes. */
  const message = async (name: string, body: () => Promise<null>): Promise<void> =>
    void (await (waiting === 0 ? enter(name, body) : inTurn(name, body)));
  const handles = (tensors: readonly Tensor[]): number[] => tensors.map(({ handle }) => handle);
  const send = (tensors: readonly Tensor[], from: number) => native().groupSend(id, handles(tensors), from);

  return {
    rank,
    size,
    sum: (name, tensors) => message(name, () => native().groupSum(id, handles(tensors))),
    reduceSlices: (name, whole, own) => message(name, () => native().groupReduceSlices(id, whole.handle, own.handle)),
    gatherSlices: (name, own, whole) => message(name, () => native().groupGatherSlices(id, own.handle, whole.handle)),
    broadcast: (name, tensors, from = 0) => message(name, () => send(tensors, from)),
    gather: (name, bytes) => inTurn(name, () => gatherBytes(id, { rank, size, bytes })),
    share: (name, bytes) => inTurn(name, () => shareBytes({ rank, bytes, send })),
    barrier: (name) =>
      inTurn(name, () => withTensor(int64([0]), async (one) => void (await native().groupSum(id, [one.handle])))),
    close: () => void native().closeGroup(id),
  };
}

/** Lengths differ, and a gather takes tensors of one shape: all are as long as the longest. */
async function gatherBytes(
  id: number,
  { rank, size, bytes }: { rank: number; size: number; bytes: Uint8Array },
): Promise<Uint8Array[]> {
  const ranks = Array.from({ length: size }, (_, each) => each);
  const lengths = await withTensor(
    int64(ranks.map((each) => (each === rank ? bytes.length : 0))),
    async (lengths_N) => {
      await native().groupSum(id, [lengths_N.handle]);
      return toIntegers(lengths_N);
    },
  );
  const longest = Math.max(1, ...lengths);
  const own = new Uint8Array(longest);
  own.set(bytes);
  const input = outlive(tensorFrom(own, [longest], 'uint8'));
  const outputs = rank === 0 ? ranks.map(() => outlive(tensorFrom(new Uint8Array(longest), [longest], 'uint8'))) : [];
  try {
    await native().groupGather(
      id,
      input.handle,
      outputs.map(({ handle }) => handle),
    );
    return outputs.map((output, each) => toBytes(output).slice(0, lengths[each] ?? 0));
  } finally {
    disposeAll([input, outputs]);
  }
}

async function shareBytes({
  rank,
  bytes,
  send,
}: {
  rank: number;
  bytes: Uint8Array;
  send: (tensors: readonly Tensor[], from: number) => Promise<null>;
}): Promise<Uint8Array> {
  const length = await withTensor(int64([bytes.length]), async (length_1) => {
    await send([length_1], 0);
    return toIntegers(length_1)[0] ?? 0;
  });
  if (length === 0) return new Uint8Array();
  const own = rank === 0 ? bytes : new Uint8Array(length);
  return withTensor(tensorFrom(own, [length], 'uint8'), async (bytes_N) => {
    await send([bytes_N], 0);
    return rank === 0 ? bytes : toBytes(bytes_N);
  });
}

/** A tensor that lives while `body` waits. */
async function withTensor<Result>(tensor: Tensor, body: (tensor: Tensor) => Promise<Result>): Promise<Result> {
  const own = outlive(tensor);
  try {
    return await body(own);
  } finally {
    own.dispose();
  }
}

const placeKey = (rank: number): string => `at/${rank}`;
const beatKey = (rank: number): string => `beat/${rank}`;

/** Which of the ranks no longer count up: they are gone, or stopped. */
export async function silentRanks(store: KeyStore, ranks: readonly number[]): Promise<number[]> {
  const count = () => Promise.all(ranks.map((rank) => store.getText(beatKey(rank))));
  const first = await count();
  await sleep(SILENCE_MS);
  const second = await count();
  return ranks.filter((_, index) => first[index] === second[index]);
}

/** The error of a collective, with where everybody is. */
async function explainFailure(
  store: KeyStore,
  { rank, size, at, waitedMs, cause }: { rank: number; size: number; at: string; waitedMs: number; cause: unknown },
): Promise<RankLostError> {
  const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  const waited = `Rank ${rank} waited ${(waitedMs / 1000).toFixed(0)} s in ${at}`;
  const others = Array.from({ length: size }, (_, each) => each).filter((each) => each !== rank);
  try {
    if ((await store.get(END_KEY)) !== null)
      return new RankLostError('RANKS_ENDED', `Rank 0 ended the run while rank ${rank} was in ${at}`, { cause });
    const silent = new Set(await silentRanks(store, others));
    const places = await Promise.all(
      others.map(async (each) => {
        const place = (await store.getText(placeKey(each))) ?? 'no collective yet';
        return `rank ${each} ${silent.has(each) ? `is gone or stopped, last in ${place}` : `is in ${place}`}`;
      }),
    );
    return new RankLostError('RANK_LOST', `${waited}: ${places.join('; ')} (${reason})`, {
      cause,
      details: { rank, at, silent: [...silent] },
    });
  } catch {
    return new RankLostError('RANK_LOST', `${waited}: rank 0 is gone (${reason})`, { cause, details: { rank, at } });
  }
}
