/** @file The benchmark of a GPU on a tiny shape and the CPU: that it runs counts what it says, and its parts hold together. */
import { expect, it } from 'vitest';
import { collectiveChecks } from '../bench/gpu/collectives.ts';
import { PARTS, partsNamed, peaksOf, readResult, tableOf, WHOLE_SECONDS } from '../bench/gpu/parts.ts';
import {
  bytesPerStep,
  decode,
  graphs,
  prefill,
  productWeights,
  randomPairs,
  score,
  stepFlopsPerToken,
  trainSteps,
  type Workload,
} from '../bench/gpu/work.ts';
import { groupInProcess } from '../src/torch/group.testing.ts';
import { ALONE } from '../src/torch/group.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { smallConfig } from './support/small-model.ts';

const config = smallConfig();
const work: Workload = {
  ...{ config, device: 'cpu', pairs: 2, promptTokens: 5, responseTokens: 4 },
  ...{ microBatchTokens: 64, steps: 1, newTokens: 3, prefillTokens: 6 },
};
const peaks = { flops: 1e12, bytesPerSecond: 1e9 };

it.each([true, false])('trains from ln 2, gives positive rates and frees what it made, with an adapter: %s', (lora) => {
  const before = memoryStatistics().liveTensors;
  const result = trainSteps(work, { lora, peaks });
  expect(result.firstPreferenceLoss).toBeCloseTo(Math.LN2, 6);
  expect(result.tokensPerSecond).toBeGreaterThan(0);
  expect(result.utilisation * 1e12).toBeCloseTo(stepFlopsPerToken(config, { lora }) * result.tokensPerSecond, -3);
  expect(result.activations).toBe('keep');
  expect(memoryStatistics().liveTensors).toBe(before);
});

it('decodes with tokens and bytes a second, and counts weights once and keys and values of every sequence', async () => {
  const result = await decode(work, { batch: 2, peaks });
  expect(result.batch).toBe(2);
  const bytes = bytesPerStep(config, { batch: 2, contextTokens: 6.5 });
  expect(result.bandwidthShare).toBeCloseTo((result.tokensPerSecond / 2) * (bytes / 1e9), 6);
  // Two layers of two heads of 8, keys and values, two bytes each.
  expect(bytes - 2 * productWeights(config)).toBe(2 * 6.5 * (2 * 2 * 2 * 8 * 2));
});

it('counts the responses that are the same with graphs as without', async () => {
  const result = await graphs(work, { batch: 3 });
  expect(result).toMatchObject({ batch: 3, sameResponses: 3, notices: 'none' });
  expect(process.env.SELM_GRAPHS).toBeUndefined();
});

it('prefills and scores', async () => {
  const before = memoryStatistics().liveTensors;
  expect((await prefill(work, { prompts: 2, peaks })).tokensPerSecond).toBeGreaterThan(0);
  expect(score(work, { peaks }).tokensPerSecond).toBeGreaterThan(0);
  expect(memoryStatistics().liveTensors).toBe(before);
});

it('has parts that fit eight minutes, beside half a minute for the build', () => {
  const seconds = PARTS.reduce((sum, { limitSeconds }) => sum + limitSeconds, 0);
  expect(seconds).toBeLessThanOrEqual(WHOLE_SECONDS - 30);
  expect(new Set(PARTS.map(({ name }) => name)).size).toBe(PARTS.length);
});

it('runs the parts that are named, and says what they are called where a name is of none', () => {
  expect(partsNamed(['score', 'decode 64']).map(({ name }) => name)).toEqual(['decode 64', 'score']);
  expect(partsNamed([])).toBe(PARTS);
  expect(() => partsNamed(['decode'])).toThrow('No part is called "decode": there are "graphs", "decode 64"');
});

it('takes the last whole result of a part, and puts every part into a row', () => {
  expect(readResult('loading\nRESULT {"rate":1}\nmore\nRESULT {"rate":2.34567}\nRESULT {"ra')).toEqual({
    rate: 2.34567,
  });
  expect(readResult('out of memory\n')).toBeNull();
  const rows = [
    { what: 'lora', seconds: 2, result: { rate: 2.34567, utilisation: null, activations: 'keep' } },
    { what: 'score', seconds: 0.04, result: { failed: 'a | b\nc' } },
  ];
  expect(tableOf(rows).split('\n').slice(2)).toEqual([
    '| lora | 2.0 | rate 2.346, utilisation not known, activations keep |',
    '| score | 0.0 | failed a / b c |',
  ]);
  expect(peaksOf('NVIDIA H100 80GB HBM3').flops).toBe(989e12);
  expect(peaksOf('another').flops).toBeNaN();
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
