/**
 * @file bf16 masters and moments: updates far below a bf16's precision are right in expectation, 8 bytes a weight are enough,
 * and a checkpoint goes on to the same bits.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadModel } from '../model/load.ts';
import { writeModelFiles } from '../model/save.ts';
import { normalAt, philox4x32, randomKey } from '../random.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { openSharedPolicy } from '../score/shared-policy.ts';
import type { SharingKind } from '../shard/shards.ts';
import { noGrad } from '../torch/autograd.ts';
import { dtypeBytes } from '../torch/dtype.ts';
import { groupInProcess } from '../torch/group.testing.ts';
import { memoryStatistics } from '../torch/memory.ts';
import {
  add__Scalar,
  addRows_,
  cat,
  copy_,
  fill__Scalar,
  narrow,
  roundedAdamw_,
  to_dtype,
  zeros,
} from '../torch/ops.ts';
import { float32, scope, type Tensor, tensorFrom, toBytes, toFloat32Array } from '../torch/tensor.ts';
import { restoreCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { type OptimiserState, openOptimiser, updateWeights } from './optimiser.ts';

const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
const KEY = [1, 2, 3, 4] as const;
const values = (x: Tensor): Float32Array => toFloat32Array(noGrad(() => to_dtype(x, 'float32')));
const mean = (numbers: ArrayLike<number>): number =>
  Array.from(numbers).reduce((sum, each) => sum + each, 0) / numbers.length;

/** `count` parameters of one value, as a step of the kernel takes them. */
function parameters(count: number, value: number): { master: Tensor; first: Tensor; second: Tensor } {
  const empty = (): Tensor => zeros([count], { dtype: 'bfloat16' });
  return { master: add__Scalar(empty(), value), first: empty(), second: empty() };
}

function step(
  { master, first, second }: ReturnType<typeof parameters>,
  gradient: Tensor,
  options: { step: number; learningRate: number; weightDecay?: number; firstElement?: number; key?: readonly number[] },
): void {
  const { learningRate, weightDecay = 0, key = [1, 2, 3, options.step] } = options;
  const { beta1, beta2, epsilon } = ADAM;
  roundedAdamw_(
    ...([master, gradient, first, second, options.step, learningRate] as const),
    ...([beta1, beta2, weightDecay, epsilon, key] as const),
    options.firstElement === undefined ? {} : { firstElement: options.firstElement },
  );
}

describe('an update of bf16 masters', () => {
  it('of 5e-7 does not vanish: the mean of 1,000 steps over 4,096 weights is right within four standard errors', () => {
    scope('test', () => {
      const count = 4096;
      const trained = parameters(count, 1);
      const gradient = add__Scalar(zeros([count]), 1);
      for (let at = 1; at <= 1000; at++) step(trained, gradient, { step: at, learningRate: 5e-7 });
      // A weight of 1 goes down by 2^-8 or stays, 1,000 times, with a mean of 5e-7: its variance is at most 1,000 x 5e-7 x 2^-8.
      const standardError = Math.sqrt((1000 * 5e-7 * 2 ** -8) / count);
      expect(Math.abs(mean(values(trained.master)) - (1 - 5e-4))).toBeLessThan(4 * standardError);
      expect(4 * standardError).toBeLessThan(5e-4 / 4); // the interval would tell a quarter of the way from the whole
    });
  });

  it('keeps the moments right in expectation: 500 steps of a gradient of 0.01', () => {
    scope('test', () => {
      const count = 4096;
      const trained = parameters(count, 1);
      const gradient = add__Scalar(zeros([count]), 0.01);
      for (let at = 1; at <= 500; at++) step(trained, gradient, { step: at, learningRate: 1e-6 });
      expect(mean(values(trained.first)) / 0.01).toBeCloseTo(1, 3);
      // (1 - 0.999^500) of the square; rounding to the nearest would stop where an increment is half a unit in the last place.
      expect(mean(values(trained.second)) / (1e-4 * (1 - 0.999 ** 500))).toBeCloseTo(1, 2);
    });
  });

  it('is AdamW in fp32, rounded by the 16 bits that src/random.ts says', () => {
    scope('test', () => {
      const count = 77; // ends within a random block
      const normals = (name: string, scale: number): Float32Array =>
        Float32Array.from({ length: count }, (_, i) => scale * normalAt(randomKey(5, name), i));
      const bf16 = (numbers: Float32Array): Tensor => to_dtype(float32(Array.from(numbers)), 'bfloat16');
      const trained = {
        master: bf16(normals('master', 1)),
        first: bf16(normals('first', 0.1)),
        second: bf16(normals('second', 0.1).map((value) => value * value)),
      };
      const before = { master: values(trained.master), first: values(trained.first), second: values(trained.second) };
      const gradient = normals('gradient', 0.1);
      const [learningRate, weightDecay, firstElement, at] = [1e-2, 0.1, 3, 7];
      step(trained, tensorFrom(gradient, [count], 'float32'), {
        ...{ step: at, learningRate, weightDecay, firstElement, key: KEY },
      });
      const expected = Array.from(gradient, (g, i) => {
        const [m0 = 0, v0 = 0, w0 = 0] = [before.first[i], before.second[i], before.master[i]];
        const m = m0 + (g - m0) * (1 - ADAM.beta1);
        const v = v0 * ADAM.beta2 + g * g * (1 - ADAM.beta2);
        const size = (learningRate / (1 - ADAM.beta1 ** at)) * m;
        const w = w0 * (1 - learningRate * weightDecay) - size / (Math.sqrt(v / (1 - ADAM.beta2 ** at)) + ADAM.epsilon);
        const element = firstElement + i;
        const words = philox4x32([Math.floor(element / 2), 0, KEY[2], KEY[3]], [KEY[0], KEY[1]]);
        const [word = 0, other = 0] = element % 2 === 0 ? words : words.slice(2);
        return [roundedWith(w, word & 0xffff), roundedWith(m, word >>> 16), roundedWith(v, other & 0xffff)];
      });
      const found = [trained.master, trained.first, trained.second].map(values);
      const different = expected.flatMap((triple, i) => triple.filter((value, j) => value !== found[j]?.[i]));
      // The sums above are fp64's: where fp32's differ in the last bit, one in 65,536 is rounded the other way.
      expect(different.length).toBeLessThanOrEqual(1);
    });
  });

  it('is the same in slices as in one piece', () => {
    scope('test', () => {
      const gradient = float32(Array.from({ length: 30 }, (_, i) => Math.sin(i)));
      const whole = parameters(30, 1);
      step(whole, gradient, { step: 1, learningRate: 1e-4 });
      const slices = [0, 11].flatMap((firstElement) => {
        const part = parameters(firstElement === 0 ? 11 : 19, 1);
        const own = float32(Array.from(values(gradient)).slice(firstElement, firstElement === 0 ? 11 : 30));
        step(part, own, { step: 1, learningRate: 1e-4, firstElement });
        return Array.from(values(part.master));
      });
      expect(slices).toEqual(Array.from(values(whole.master)));
    });
  });
});

/** fp32 bits plus 16 random ones, cut to bf16. */
function roundedWith(value: number, random: number): number {
  const [bits = 0] = new Uint32Array(Float32Array.of(value).buffer);
  const [rounded = 0] = new Float32Array(Uint32Array.of(((bits + random) & 0xffff0000) >>> 0).buffer);
  return rounded;
}

it.each(['float32', 'bfloat16'] as const)(
  "rows of an embedding's gradient in %s are added up in fp32, whatever their number",
  (dtype) => {
    scope('test', () => {
      const total = zeros([4, 2], { dtype });
      // 4,096 rows of 0.25: in bf16 one after the other they would stop at 64, whose last place is 0.5.
      const ids = Array.from({ length: 4096 }, (_, i) => (i % 2 === 0 ? 3 : 1));
      const rows = add__Scalar(zeros([4096, 2], { dtype: 'bfloat16' }), 0.25);
      addRows_(total, ids, rows, { alpha: 2 });
      expect(Array.from(values(total))).toEqual([0, 0, 1024, 1024, 0, 0, 1024, 1024]);
      expect(() => addRows_(total, [4], zeros([1, 2]))).toThrow('id 4 is none of 4 rows');
    });
  },
);

const config = smallConfig();
const weights = smallWeights(config);

function open(states: 'float32' | 'bfloat16' = 'bfloat16'): { policy: Policy; optimiser: OptimiserState } {
  const policy = openPolicy({ config, weights }, { dtype: 'bfloat16', states, purpose: 'train' });
  return { policy, optimiser: openOptimiser(policy, { seed: 3, training: ['train', 1] }) };
}

/** The same gradient for every weight of that name, whoever holds it. */
function fillGradients({ gradients }: Policy): void {
  noGrad(() => {
    for (const [name, gradient] of gradients ?? []) {
      const numbers = Float32Array.from({ length: gradient.size }, (_, i) => normalAt(randomKey(9, name), i));
      scope('gradient', () => void copy_(gradient, tensorFrom(numbers, gradient.shape, 'float32')));
    }
  });
}

const update = ({ policy, optimiser }: ReturnType<typeof open>): void => {
  fillGradients(policy);
  updateWeights(policy, optimiser, { ...ADAM, learningRate: 1e-3 });
};

const bytesOf = (tensors: Iterable<Tensor>): number =>
  [...new Set(tensors)].reduce((sum, { size, dtype }) => sum + size * dtypeBytes(dtype), 0);

describe('a policy with bf16 states', () => {
  it('takes 8 bytes a weight of its matrices, with weights, gradients and moments, and 18 with fp32 states', () => {
    const matrices = (map: ReadonlyMap<string, Tensor> | null): Tensor[] =>
      [...(map ?? [])].flatMap(([, tensor]) => (tensor.shape.length > 1 ? [tensor] : []));
    for (const [states, expected] of [
      ['bfloat16', 8],
      ['float32', 18],
    ] as const) {
      const { policy, optimiser } = open(states);
      const held = [policy.compute, policy.masters, policy.gradients, optimiser.firstMoments, optimiser.secondMoments];
      const count = matrices(policy.masters).reduce((sum, { size }) => sum + size, 0);
      expect(bytesOf(held.flatMap(matrices)) / count).toBe(expected);
      optimiser.dispose();
      policy.dispose();
    }
  });

  it('goes on from a checkpoint to the same bits', async () => {
    const folder = temporaryFolder();
    const straight = open();
    update(straight);
    await saveCheckpoint(folder, { ...straight, step: 1, plan: 'plan' });
    update(straight);
    const resumed = open();
    expect((await restoreCheckpoint(folder, { ...resumed, plan: 'plan' })).step).toBe(1);
    update(resumed);
    for (const [name, master] of straight.policy.masters)
      expect(toBytes(resumed.policy.masters.get(name) ?? master)).toEqual(toBytes(master));
    for (const each of [straight, resumed]) {
      each.optimiser.dispose();
      each.policy.dispose();
    }
  });

  it('is saved as it is, and opened again with the same masters: norms in fp32', () => {
    const folder = temporaryFolder();
    const trained = open();
    update(trained);
    const { masters } = trained.policy;
    writeModelFiles(folder, { base: join(folder, 'none'), raw: config.raw, weights: masters, dtype: 'as-it-is' });
    const model = loadModel(folder);
    expect(model.config.raw.fields.dtype ?? model.config.raw.fields.torch_dtype).toBe('bfloat16');
    for (const [name, master] of masters) {
      const saved = model.weights.get(name);
      expect([name, saved?.dtype]).toEqual([name, master.shape.length === 1 ? 'float32' : 'bfloat16']);
      expect(saved === undefined ? null : toBytes(saved)).toEqual(toBytes(master));
    }
    model.dispose();
    trained.optimiser.dispose();
    trained.policy.dispose();
  });

  it.each(['optimiser', 'full'] as const)(
    'is updated to the same bits by one rank and by two that share its %s',
    (kind) => {
      const [one, two] = [1, 2].map((size) => updatedByRanks(size, kind));
      expect([...(one?.keys() ?? [])]).toContain('model.layers.1.mlp.up_proj.weight');
      for (const [name, bytes] of one ?? []) expect([name, two?.get(name)]).toEqual([name, bytes]);
    },
  );
});

/** Every weight after one update by ranks whose gradients are all 1, put together of their slices. */
function updatedByRanks(size: number, kind: SharingKind): Map<string, Uint8Array> {
  const ranks = groupInProcess(size).map((group) => {
    const sharing = { kind, group };
    const policy = openSharedPolicy({ config, weights }, { dtype: 'bfloat16', states: 'bfloat16', sharing });
    const optimiser = openOptimiser(policy, { seed: 3, training: ['train', 1] });
    const gradients = (policy.shards?.flats ?? []).flatMap(({ gradient }) => (gradient === null ? [] : [gradient]));
    noGrad(() => scope('gradients', () => gradients.forEach((gradient) => void fill__Scalar(gradient, 1))));
    updateWeights(policy, optimiser, { ...ADAM, learningRate: 1e-4 });
    return { policy, optimiser };
  });
  const flats = ranks[0]?.policy.shards?.flats ?? [];
  const found = flats.flatMap(({ layout }, index) =>
    scope('a flat', () => {
      const slices = ranks.flatMap(({ policy }) => policy.shards?.flats[index]?.own ?? []);
      const whole = noGrad(() => cat(slices));
      expect(whole.dtype).toBe(layout.kind === 'matrices' ? 'bfloat16' : 'float32');
      return layout.entries.map(
        ({ name, begin, size: count }) => [name, toBytes(narrow(whole, 0, begin, count))] as const,
      );
    }),
  );
  for (const { policy, optimiser } of ranks) {
    optimiser.dispose();
    policy.dispose();
  }
  return new Map(found);
}

it('an adapter over a bf16 base takes no second copy of it', () => {
  const base = new Map([...weights].map(([name, weight]) => [name, noGrad(() => to_dtype(weight, 'bfloat16'))]));
  const baseBytes = bytesOf(base.values());
  const before = memoryStatistics().tensorBytes;
  const lora = { settings: { rank: 1, alpha: 2, targets: ['q_proj'], rankStabilised: false }, seed: 1 };
  using policy = openPolicy(
    { config, weights: base },
    { dtype: 'bfloat16', states: 'bfloat16', purpose: 'train', lora },
  );
  // Factors with gradients, and norms in fp32.
  expect(memoryStatistics().tensorBytes - before).toBeLessThan(baseBytes / 8);
  expect(policy.compute.get('model.embed_tokens.weight')?.dtype).toBe('bfloat16');
});
