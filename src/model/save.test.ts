/** @file Large weights are saved some rows at a time: the same bytes, and never more than a slice in memory. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readTensors } from '../../test/support/changed-model.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { disposeAll, outlive, scope } from '../torch/tensor.ts';
import { type Adapter, initialAdapter } from './adapter/lora.ts';
import { type SavedForm, tensorEntries } from './save.ts';

const config = smallConfig();
const settings = { rank: 4, alpha: 8, rankStabilised: false, targets: 'all-linear' } as const;

/** The sizes of the slices, and the whole, of every tensor as it is saved. */
function saved(form: SavedForm, adapter: Adapter | null): { largest: number; file: Map<string, unknown> } {
  const weights = smallWeights(config);
  let largest = 0;
  const entries = tensorEntries(weights, { ...form, adapter }).map((entry) => ({
    ...entry,
    bytes: function* () {
      for (const slice of typeof entry.bytes === 'function' ? entry.bytes() : [entry.bytes]) {
        largest = Math.max(largest, slice.length);
        yield slice;
      }
    },
  }));
  const path = join(temporaryFolder(), 'model.safetensors');
  writeSafetensors(path, entries);
  disposeAll(weights);
  return { largest, file: readTensors(path) };
}

test.each(['float32', 'bfloat16'] as const)(
  'in %s slices of 300 bytes make the file that whole tensors make',
  (dtype) => {
    const adapter = outlive(scope('adapter', () => initialAdapter(config, { settings, seed: 3 })));
    const before = memoryStatistics().liveTensors;
    const whole = saved({ dtype }, adapter);
    const sliced = saved({ dtype, sliceBytes: 300 }, adapter);
    expect(whole.largest).toBe(64 * 32 * (dtype === 'float32' ? 4 : 2));
    expect(sliced.largest).toBeLessThanOrEqual(300);
    expect(sliced.file).toEqual(whole.file);
    expect(memoryStatistics().liveTensors).toBe(before);
    disposeAll(adapter.factors);
  },
);

test('a row that is larger than a slice is saved alone', () => {
  expect(saved({ dtype: 'float32', sliceBytes: 1 }, null).largest).toBe(4 * 56);
});
