/** @file Passes of decoding as graphs, on a pretended GPU: they give the tokens of passes without, are few, and stand back where none can be made. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeviceUse } from '../../test/support/pretended-device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey } from '../random.ts';
import { noGrad } from '../torch/autograd.ts';
import { captureGraph } from '../torch/graph.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { add__Scalar, add_Scalar, copy_, to_device, zeros } from '../torch/ops.ts';
import { int64, scope, toIntegers } from '../torch/tensor.ts';
import { type GeneratedResponse, type GenerateOptions, generate } from './generate.ts';
import { repeatedShape, roundedUp } from './graph-passes.ts';
import { openSampler } from './sampler.ts';

const uses: DeviceUse[] = vi.hoisted(() => []);
/** Thrown where a capture ends, as by a card that cannot make the graph. */
const refusal = vi.hoisted((): { error: Error | null } => ({ error: null }));

vi.mock('../torch/native.ts', async (importActual) => {
  const { pretendedModule } = await import('../../test/support/pretended-device.ts');
  return pretendedModule(await importActual<typeof import('../torch/native.ts')>(), (use) => {
    uses.push(use);
    if (refusal.error !== null && use.kind === 'graph' && use.is === 'captured') throw refusal.error;
  });
});

beforeEach(() => {
  uses.length = 0;
  refusal.error = null;
  delete process.env.SELM_GRAPHS;
});

const config = smallConfig();
const weights = new Map(
  [...smallWeights(config)].map(([name, weight]) => [
    name,
    noGrad(() => to_device(weight, 'cuda', 'float32', { copy: true })),
  ]),
);
const sampler = openSampler({ config, weights });

/** Responses of `prompts` prompts of three tokens, in the order of the prompts. */
async function responses(prompts: number, changes: Partial<GenerateOptions> = {}): Promise<GeneratedResponse[]> {
  const requests = Array.from({ length: prompts }, (_, p) => ({
    promptId: `${p}`,
    promptIds: [1, 5 + p, 7],
    samples: [{ sampleIndex: 0, key: randomKey(3, p) }],
  }));
  const settings = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 20, stopIds: [], batchSize: 8 };
  const found: GeneratedResponse[] = [];
  for await (const response of generate(sampler, requests, { ...settings, ...changes })) found.push(response);
  return found.sort((a, b) => Number(a.promptId) - Number(b.promptId));
}

async function withoutGraphs(prompts: number, changes: Partial<GenerateOptions> = {}): Promise<GeneratedResponse[]> {
  process.env.SELM_GRAPHS = 'off';
  const found = await responses(prompts, changes);
  delete process.env.SELM_GRAPHS;
  return found;
}

const graphs = (is: 'captured' | 'replayed' | 'dropped'): number =>
  uses.filter((use) => use.kind === 'graph' && use.is === is).length;

describe('passes as graphs', () => {
  it.each<[string, number, Partial<GenerateOptions>]>([
    ['of a full batch', 8, {}],
    ['of rows that are filled up', 5, {}],
    ['of one row', 1, { temperature: 0 }],
    ['whose rows end and begin', 21, { stopIds: [2, 11, 23] }],
    ['of rows that need pages', 3, { maxNewTokens: 150 }],
    ['with filters', 8, { topK: 5, topP: 0.9 }],
  ])('%s draw the tokens of passes without', async (_, prompts, changes) => {
    const expected = await withoutGraphs(prompts, changes);
    expect(graphs('replayed')).toBe(0);
    expect(await responses(prompts, changes)).toEqual(expected);
    expect(graphs('replayed')).toBeGreaterThan(8);
  });

  it('are one graph where the shape stays: 18 of 19 passes, the first being run as it is', async () => {
    await responses(8);
    expect([graphs('captured'), graphs('replayed'), graphs('dropped')]).toEqual([1, 18, 1]);
  });

  it('become another graph where the shape changes, and the same again where it comes back', async () => {
    // A third of the tokens end a response: the batch shrinks and is filled again until no prompt is left.
    const stopIds = Array.from({ length: Math.floor(config.vocabularySize / 3) }, (_, i) => 3 * i);
    await responses(40, { stopIds });
    expect(graphs('captured')).toBeGreaterThan(1);
    // 8, 6, 4, 3, 2 and 1 rows; all tables have four pages.
    expect(graphs('captured')).toBeLessThanOrEqual(6);
    expect(graphs('replayed')).toBeGreaterThan(graphs('captured'));
  });

  it('free what they hold', async () => {
    await responses(5);
    const before = memoryStatistics().liveTensors;
    await responses(5);
    expect(memoryStatistics().liveTensors).toBe(before);
  });

  it('that the device refuses are left out, and that is said once', async () => {
    const expected = await withoutGraphs(5);
    refusal.error = Object.assign(new Error('operation not permitted when stream is capturing'), {
      code: 'SELM_OPERATOR',
    });
    const notices: string[] = [];
    expect(await responses(5, { onNotice: (notice) => void notices.push(notice) })).toEqual(expected);
    expect(graphs('captured')).toBe(1);
    expect(notices).toEqual([expect.stringContaining('not permitted when stream is capturing')]);
  });

  it('are asked for by no other word than on or off', async () => {
    process.env.SELM_GRAPHS = 'no';
    const notices: string[] = [];
    await responses(1, { onNotice: (notice) => void notices.push(notice) });
    expect(notices).toEqual(['SELM_GRAPHS=no changes nothing: on and off are known']);
  });
});

describe('captureGraph()', () => {
  const device = 'cuda';

  it('computes nothing by itself, and each time that it is replayed from what lies there', () => {
    scope('test', () => {
      const [x, y] = [int64([1, 2], { device }), zeros([2], { dtype: 'int64', device })];
      const graph = captureGraph(device, () => void copy_(y, add_Scalar(x, 10)));
      expect(toIntegers(y)).toEqual([0, 0]);
      graph.replay();
      expect(toIntegers(y)).toEqual([11, 12]);
      add__Scalar(x, 100);
      graph.replay();
      expect(toIntegers(y)).toEqual([111, 112]);
      graph.dispose();
    });
  });

  it('refuses copies between host and device, and leaves no capture under way', () => {
    scope('test', () => {
      const x = int64([1, 2], { device });
      expect(() => captureGraph(device, () => void int64([3], { device }))).toThrow('a copy to the device');
      expect(() => captureGraph(device, () => void toIntegers(x))).toThrow('a copy to the host');
      expect(toIntegers(x)).toEqual([1, 2]);
    });
  });

  it('is of no use once a tensor that it reads is freed', () => {
    scope('test', () => {
      const [x, y] = [int64([1], { device }), zeros([1], { dtype: 'int64', device })];
      const graph = captureGraph(device, () => void copy_(y, x));
      x.dispose();
      expect(() => graph.replay()).toThrow('a graph reads a tensor that was freed');
    });
  });
});

it.each([
  [1, 1],
  [2, 2],
  [3, 3],
  [5, 6],
  [7, 8],
  [9, 12],
  [13, 16],
  [49, 64],
  [97, 128],
  [190, 192],
])('%i rows are filled up to %i', (count, expected) => {
  expect(roundedUp(count)).toBe(expected);
});

it('a full batch is not filled up, and tables are as wide as a power of two', () => {
  const key = randomKey(1);
  const row = { prompt: { pages: [1, 2], length: 20 }, pages: [3], position: 0, key };
  expect(repeatedShape(Array(100).fill(row), 100)).toEqual({ rows: 100, width: 4 });
  expect(repeatedShape(Array(90).fill(row), 100)).toEqual({ rows: 96, width: 4 });
});
