/** @file The benchmark of a GPU on a tiny shape and the CPU: that it runs and counts what it says. */
import { afterAll, expect, it } from 'vitest';
import { collectiveChecks } from '../bench/gpu/collectives.ts';
import {
  decode,
  productWeights,
  randomPairs,
  randomWeights,
  stepFlopsPerToken,
  trainSteps,
  type Workload,
} from '../bench/gpu/work.ts';
import { groupInProcess } from '../src/torch/group.testing.ts';
import { ALONE } from '../src/torch/group.ts';
import { disposeAll } from '../src/torch/tensor.ts';
import { smallConfig } from './support/small-model.ts';

const config = smallConfig();
const work: Workload = {
  ...{ config, device: 'cpu', pairs: 2, promptTokens: 5, responseTokens: 4 },
  ...{ microBatchTokens: 64, steps: 1, newTokens: 3 },
};
const weights = randomWeights(config, 'cpu');
afterAll(() => disposeAll(weights));

it.each([true, false])('trains from ln 2 and gives positive rates, with an adapter: %s', (lora) => {
  const result = trainSteps(work, weights, { lora, peakFlops: 1e12 });
  expect(result.firstPreferenceLoss).toBeCloseTo(Math.LN2, 6);
  expect(result.tokensPerSecond).toBeGreaterThan(0);
  expect(result.utilisation * 1e12).toBeCloseTo(stepFlopsPerToken(config, { lora }) * result.tokensPerSecond, -3);
});

it('decodes with tokens and bytes a second', async () => {
  const result = await decode(work, weights, { batch: 2, bytesPerSecond: 1e9 });
  expect(result.batch).toBe(2);
  expect(result.bandwidthShare).toBeCloseTo((result.tokensPerSecond / 2) * 2 * (productWeights(config) / 1e9), 6);
});

it('pairs have a prompt and three continuations of the lengths asked for, the same each time', () => {
  const [tree] = randomPairs(work, 0);
  expect(tree?.promptIds).toHaveLength(5);
  expect(tree?.continuations.map(({ length }) => length)).toEqual([4, 4, 4]);
  expect(randomPairs(work, 0)).toEqual(randomPairs(work, 0));
  expect(randomPairs(work, 1)).not.toEqual(randomPairs(work, 0));
});

it('the checks of collectives hold in groups that are known to be right', async () => {
  for (const ranks of [[ALONE], groupInProcess(2)]) {
    await Promise.all(
      ranks.map(async (group) => {
        for (const { run } of collectiveChecks(group, 'cpu', 70)) await run();
      }),
    );
  }
});
