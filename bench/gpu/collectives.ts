/**
 * @file What ranks need of the library that moves their tensors on a device: each collective in each type, against what comes out
 * by counting, and small trainings of every sharding against the same ones of one process. Small enough for tests on the CPU.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { noGrad } from '../../src/torch/autograd.ts';
import { ALONE, type Group } from '../../src/torch/group.ts';
import { narrow, to_dtype, transpose_int, zeros } from '../../src/torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor, tensorFrom, toFloat32Array } from '../../src/torch/tensor.ts';
import { DPO, difference, type Kind, LORA, preferences, steps, trainIn } from '../../test/support/shared-training.ts';

/** A thing that has to hold; it throws, or says what it found. */
export interface Check {
  name: string;
  run(): Promise<string>;
}

const DTYPES = ['float32', 'bfloat16'] as const;
type FloatDtype = (typeof DTYPES)[number];

/** More than one message between ranks (32 MiB), in either type. */
const LONG = 9 << 20;

/** The collectives of a group on a device. All its ranks run them in this order. */
export function collectiveChecks(group: Group, device: string, long = LONG): Check[] {
  return [
    ...DTYPES.flatMap((dtype) => ofType(group, { dtype, device, long })),
    {
      name: 'bytes, and the barrier',
      run: async () => {
        const gathered = await group.gather('numbers', Uint8Array.of(group.rank, 7));
        const wanted = group.rank === 0 ? ranksOf(group).flatMap((rank) => [rank, 7]) : [];
        same(
          'gathered',
          gathered.flatMap((bytes) => [...bytes]),
          wanted,
        );
        same('shared', [...(await group.share('numbers', Uint8Array.of(group.rank, 9)))], [0, 9]);
        await group.barrier('everybody');
        return '';
      },
    },
  ];
}

function ranksOf({ size }: Group): number[] {
  return Array.from({ length: size }, (_, rank) => rank);
}

function ofType(group: Group, { dtype, device, long }: { dtype: FloatDtype; device: string; long: number }): Check[] {
  const { rank, size } = group;
  /** Whole numbers, small enough to be exact in bf16. */
  const tensor = (values: readonly number[] | Float32Array, shape = [values.length]): Tensor =>
    outlive(
      scope('numbers', () =>
        noGrad(() => to_dtype(tensorFrom(Float32Array.from(values), shape, 'float32', device), dtype)),
      ),
    );
  const total = ranksOf(group).reduce((sum, each) => sum + each + 1, 0);
  return [
    {
      name: `sum, ${dtype}`,
      run: async () => {
        const matrix = tensor(
          [1, 2, 3, 4, 5, 6].map((value) => value * (rank + 1)),
          [2, 3],
        );
        const turned = outlive(scope('turn', () => noGrad(() => transpose_int(matrix, 0, 1))));
        const [vector, empty] = [tensor([rank + 1, -rank - 1]), tensor([])];
        await group.sum('numbers', [turned, vector, empty]);
        same(
          'a matrix without order',
          numbers(matrix),
          [1, 2, 3, 4, 5, 6].map((value) => value * total),
        );
        same('a vector', numbers(vector), [total, -total]);
        disposeAll([matrix, turned, vector, empty]);
        return '';
      },
    },
    {
      name: `broadcast, ${dtype}`,
      run: async () => {
        const numbers_N = tensor([rank, rank + 1]);
        await group.broadcast('numbers', [numbers_N], size - 1);
        same('numbers', numbers(numbers_N), [size - 1, size]);
        numbers_N.dispose();
        return '';
      },
    },
    {
      name: `reduce-scatter and all-gather in place, ${dtype}`,
      run: async () => {
        const values = Array.from({ length: 2 * size }, (_, index) => index + 1);
        const whole = tensor(values.map((value) => value * (rank + 1)));
        const own = outlive(scope('slice', () => noGrad(() => narrow(whole, 0, 2 * rank, 2))));
        await group.reduceSlices('numbers', whole, own);
        same(
          'own sums',
          numbers(own),
          values.slice(2 * rank, 2 * rank + 2).map((value) => value * total),
        );
        await group.gatherSlices('numbers', own, whole);
        same(
          'all sums',
          numbers(whole),
          values.map((value) => value * total),
        );
        disposeAll([own, whole]);
        return '';
      },
    },
    {
      name: `${long} numbers, ${dtype}`,
      run: async () => {
        const whole = outlive(scope('zeros', () => zeros([long * size], { dtype, device })));
        const own = tensor(Float32Array.from({ length: long }, (_, index) => (index % 7) + rank));
        const beganMs = performance.now();
        await group.gatherSlices('numbers', own, whole);
        await group.reduceSlices('numbers', whole, own);
        await group.sum('numbers', [own]);
        const seconds = (performance.now() - beganMs) / 1000;
        // All ranks have the same whole: a slice's sum is `size` of it, and the last sum is over the slices.
        const ofRanks = ranksOf(group).reduce((sum, each) => sum + each, 0);
        same(
          'numbers',
          numbers(own),
          Float32Array.from({ length: long }, (_, index) => size * (size * (index % 7) + ofRanks)),
        );
        disposeAll([own, whole]);
        return `${seconds.toFixed(3)} s`;
      },
    },
  ];
}

function numbers(tensor: Tensor): Float32Array {
  return scope('read', () => toFloat32Array(noGrad(() => to_dtype(tensor, 'float32'))));
}

function same(what: string, found: ArrayLike<number>, wanted: readonly number[] | Float32Array): void {
  const at = wanted.findIndex((value, index) => value !== found[index]);
  if (found.length !== wanted.length || at !== -1)
    throw new Error(`${what}: ${found[Math.max(at, 0)]} at ${at} of ${found.length}, in place of ${wanted[at]}`);
}

/** Longest relative difference of a loss of a few steps: as between ranks on processors (src/train/share.test.ts). */
const TOLERANCE = { float32: 1e-5, bfloat16: 1e-2 };

/**
 * Small trainings of a group, of all its shardings, against the same of one process on the same device. What they open is freed by
 * disposeOpened.
 */
export function trainingChecks(group: Group, device: string): Check[] {
  const kinds = (['none', 'optimiser', 'full'] as const).flatMap((sharding) =>
    DTYPES.map((dtype): Kind & { dtype: FloatDtype } => ({ sharding, dtype, device })),
  );
  return [...kinds, { ...kinds[0], lora: LORA, dtype: 'float32' as const, device }].map((kind) => ({
    name: `training, ${kind.lora === undefined ? 'all weights' : 'an adapter'}, sharding ${kind.sharding}, ${kind.dtype}`,
    run: async () => {
      const made = steps.slice(0, 3);
      const alone = await trainIn(ALONE, { ...kind, sharding: 'none' }, preferences(DPO), made);
      const shared = await trainIn(group, kind, preferences(DPO), made);
      const largest = difference('loss', alone.metrics, shared.metrics);
      if (!(largest <= TOLERANCE[kind.dtype]))
        throw new Error(`its losses differ from one process's by ${largest}, more than ${TOLERANCE[kind.dtype]}`);
      return `its losses differ from one process's by ${largest.toExponential(1)}`;
    },
  }));
}

/** A collective that the last rank does not come to; for groups of several ranks, and the last of their checks. */
export function missingRankCheck(group: Group, { device, waitMs }: { device: string; waitMs: number }): Check {
  return {
    name: 'a rank that is missing is named after the time-out',
    run: async () => {
      if (group.rank === group.size - 1) {
        await sleep(waitMs);
        return '';
      }
      const tensor = outlive(zeros([4], { dtype: 'float32', device }));
      const beganMs = performance.now();
      const error = await group.sum('numbers', [tensor]).then(
        () => null,
        (reason: unknown) => reason,
      );
      const message = error instanceof Error ? error.message : String(error);
      if (!message.includes(`rank ${group.size - 1} is in`)) throw new Error(message);
      return `${((performance.now() - beganMs) / 1000).toFixed(1)} s: ${message}`;
    },
  };
}
