/** @file A whole run on the device under test (SELM_TEST_DEVICE): two iterations of sampling, ranking, training and exploring. */
import { expect, it } from 'vitest';
import { testDevice } from './support/device.ts';
import { lossesOf, run, stagesOf, weights } from './support/small-run.ts';

it('every iteration of a run on a device begins at ln 2 and leaves another model', async () => {
  const { output, events } = await run({ device: testDevice });
  expect([...new Set(stagesOf(events))].sort()).toEqual(['explore', 'rank', 'reference', 'sample', 'train']);
  // Another device scores in other micro-batches than it trains in; the CPU gives ln 2 exactly.
  for (const iteration of [1, 2]) expect(lossesOf(events, iteration)[0]).toBeCloseTo(Math.LN2, 5);
  expect(weights(output, 1)).not.toBe(weights(output, 2));
});
