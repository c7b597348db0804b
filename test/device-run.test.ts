/** @file Whole runs on the device under test (SELM_TEST_DEVICE): sampling, ranking, training and exploring; fine-tuning, a learned reward and evaluation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { isOnCpu, testDevice } from './support/device.ts';
import { lossesOf, run, stagesOf, weights } from './support/small-run.ts';

it('every iteration of a run on a device begins at ln 2 and leaves another model', async () => {
  const { output, events } = await run({ device: testDevice });
  expect([...new Set(stagesOf(events))].sort()).toEqual(['explore', 'rank', 'reference', 'sample', 'train']);
  // Another device scores in other micro-batches than it trains in; the CPU gives ln 2 exactly.
  for (const iteration of [1, 2]) expect(lossesOf(events, iteration)[0]).toBeCloseTo(Math.LN2, 5);
  expect(weights(output, 1)).not.toBe(weights(output, 2));
});

it.skipIf(isOnCpu)('a run on a device fine-tunes first, learns a reward, and measures what came out', async () => {
  const { output, events } = await run({
    device: testDevice,
    iterations: 1,
    sft: {
      data: { train: join(packageRoot, 'recipes', 'quickstart', 'conversations.jsonl') },
      text: { prompts: 'raw', maxLength: 64 },
      training: { batchSize: 64, learningRate: 0.0003 },
    },
    rewardModel: { labels: 8, alpha: 0.1, beta: 0.25, learningRate: 0.002 },
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'none' } },
    evaluate: { holdOut: 4, maxNewTokens: 8 },
  });
  expect(stagesOf(events)).toEqual(expect.arrayContaining(['sft', 'label', 'reward-model', 'train', 'evaluate']));
  expect(lossesOf(events, 1)[0]).toBeCloseTo(Math.LN2, 5);
  const sft = sha256(readFileSync(join(output, 'sft', 'model', 'model.safetensors')));
  expect(weights(output, 1)).not.toBe(sft);
});
