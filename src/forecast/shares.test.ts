/** @file What ranks hold and send, against sums by hand, and what many GPUs would take. */
import { describe, expect, it } from 'vitest';
import { smallConfig } from '../../test/support/small-model.ts';
import { type Cluster, predictScale } from './scale.ts';
import { countsOf, sentBytes, stateBytes } from './shares.ts';

const config = smallConfig();
/** Embedding 64 x 32 and final norm; two blocks of q, o 32 x 32, k, v 16 x 32, three of 56 x 32, two norms. */
const ENDS = 64 * 32 + 32;
const BLOCK = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 56 * 32 + 2 * 32;
const ALL = ENDS + 2 * BLOCK;
const none = { kind: 'none' } as const;
const lora = { kind: 'lora', rank: 2, alpha: 4, targets: 'all-linear', rankStabilised: false, dropout: 0 } as const;
const FACTORS = 2 * 2 * (2 * (32 + 32) + 2 * (16 + 32) + 3 * (56 + 32));

const of = (
  dtype: 'float32' | 'bfloat16',
  sharding: 'none' | 'optimiser' | 'full',
  adapter: typeof none | typeof lora = none,
  states: 'float32' | 'bfloat16' = 'float32',
) => ({
  config,
  training: { dtype, states, sharding, adapter },
  ranks: 4,
});

describe('a rank holds', () => {
  it('all of it where nothing is shared: 16 bytes a weight in fp32, 18 in bf16', () => {
    expect(countsOf(of('float32', 'none'))).toEqual({ all: ALL, block: BLOCK, ends: ENDS, blocks: 2, trained: ALL });
    const total = (dtype: 'float32' | 'bfloat16') =>
      Object.values(stateBytes(of(dtype, 'none'))).reduce((sum, bytes) => sum + bytes, 0);
    expect([total('float32'), total('bfloat16')]).toEqual([16 * ALL, 18 * ALL]);
  });

  it('8 bytes a weight where masters and moments are bf16; ranks add their gradients up in fp32', () => {
    const shared = of('bfloat16', 'optimiser', none, 'bfloat16');
    const alone = { weights: 2 * ALL, masters: 0, gradients: 2 * ALL, moments: 4 * ALL, gathered: 0 };
    expect(stateBytes({ ...shared, ranks: 1 })).toEqual(alone);
    expect(stateBytes(shared)).toEqual({ ...alone, gradients: 4 * ALL, moments: ALL });
  });

  it('its share of moments and masters, or of all but what is whole while it computes', () => {
    expect(stateBytes(of('bfloat16', 'optimiser'))).toEqual({
      weights: 2 * ALL,
      masters: ALL,
      gradients: 4 * ALL,
      moments: 2 * ALL,
      gathered: 0,
    });
    expect(stateBytes(of('bfloat16', 'full'))).toEqual({
      weights: 0,
      masters: ALL,
      gradients: ALL,
      moments: 2 * ALL,
      gathered: 6 * (ENDS + 2 * BLOCK) + 4 * BLOCK,
    });
  });

  it('all of it alone, whatever is set', () => {
    expect(stateBytes({ ...of('float32', 'full'), ranks: 1 })).toEqual(stateBytes(of('float32', 'none')));
  });
});

it('a rank sends three quarters of what four of them sum and gather', () => {
  expect(sentBytes(of('float32', 'none'), 1)).toBe(2 * 0.75 * 4 * ALL);
  expect(sentBytes(of('bfloat16', 'optimiser'), 5)).toBe(0.75 * 6 * ALL);
  // Two passes: the last block is gathered once, the other twice; all gradients are summed in each.
  expect(sentBytes(of('bfloat16', 'full'), 2)).toBe(0.75 * 2 * (2 * (3 * BLOCK + ENDS) + 4 * ALL));
  expect(sentBytes(of('bfloat16', 'full', lora), 1)).toBe(0.75 * (2 * (3 * BLOCK + ENDS) + 6 * FACTORS));
});

describe('many GPUs', () => {
  const cluster: Cluster = {
    gpus: 4,
    gpusOfNode: 8,
    peakFlops: 1e9,
    utilisation: 0.5,
    memoryBytes: 1e9,
    nodeBytesPerSecond: 2e6,
    networkBytesPerSecond: 1e6,
    linkEfficiency: 0.5,
  };
  const step = { ...of('bfloat16', 'full'), tokens: 400, microBatchTokens: 100 };

  it('compute while they gather, and take as long as the longer of the two', () => {
    const { computeSeconds, sendSeconds, stepSeconds, tokensPerSecond } = predictScale(step, cluster);
    const products = ALL - 5 * 32;
    expect(computeSeconds).toBeCloseTo((4 * 2 * products * 100) / 5e8, 12);
    expect(sendSeconds).toBeCloseTo(sentBytes(of('bfloat16', 'full'), 1) / 1e6, 12);
    expect(stepSeconds).toBe(Math.max(computeSeconds, sendSeconds));
    expect(tokensPerSecond).toBeCloseTo(400 / stepSeconds, 9);
  });

  it('first compute and then send where nothing is gathered; another node is reached over the network', () => {
    const unshared = { ...step, ...of('bfloat16', 'none') };
    const near = predictScale(unshared, cluster);
    expect(near.stepSeconds).toBe(near.computeSeconds + near.sendSeconds);
    expect(predictScale(unshared, { ...cluster, gpusOfNode: 2 }).sendSeconds).toBeCloseTo(2 * near.sendSeconds, 12);
    expect(near.fits).toBe(true);
    expect(predictScale(unshared, { ...cluster, memoryBytes: 1e5 }).fits).toBe(false);
  });
});
