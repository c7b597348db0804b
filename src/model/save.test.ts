/** @file Large weights are saved some rows at a time and large models in several files: the same numbers, bounded memory. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readTensors } from '../../test/support/changed-model.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { digestFileSync } from '../files/hash.ts';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { narrow, reshape } from '../torch/ops.ts';
import { disposeAll, outlive, scope, toBytes } from '../torch/tensor.ts';
import { type Adapter, initialAdapter } from './adapter/lora.ts';
import { loadModel } from './load.ts';
import { type SavedForm, tensorEntries, weightBytes, writeModelFiles } from './save.ts';

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

test('a model larger than a shard is saved in shards of neighbours, which their index names, and opens as it was', async () => {
  const weights = smallWeights(config);
  const folder = temporaryFolder();
  const save = (name: string, shardBytes: number): string => {
    const directory = join(folder, name);
    mkdirSync(directory);
    const model = { base: folder, raw: config.raw, weights, dtype: 'float32', shardBytes } as const;
    const written = writeModelFiles(directory, model);
    for (const [file, digest] of written) expect(digestFileSync(join(directory, file))).toEqual(digest);
    return directory;
  };
  const whole = save('whole', 1e6);
  expect(readdirSync(whole)).toEqual(['config.json', 'model.safetensors']);
  // The largest tensor takes 8192 bytes: it is in a file of its own.
  const sharded = save('sharded', 8000);
  const names = readdirSync(sharded).filter((name) => name.endsWith('.safetensors'));
  expect(names[0]).toMatch(/^model-00001-of-000\d\d\.safetensors$/);
  expect(names.length).toBeGreaterThan(3);
  const index = JSON.parse(readFileSync(join(sharded, 'model.safetensors.index.json'), 'utf8'));
  expect(index.metadata.total_size).toBe(weightBytes(weights, 'float32'));
  expect(Object.keys(index.weight_map)).toEqual([...weights.keys()]);
  const opened = [whole, sharded].map((directory) => loadModel(directory));
  const [one, other] = opened.map((model) => new Map([...model.weights].map(([name, each]) => [name, toBytes(each)])));
  expect(other).toEqual(one);
  for (const model of opened) model.dispose();
  disposeAll(weights);
});

test('weights in parts are saved as the whole', () => {
  const weights = smallWeights(config);
  const path = (name: string): string => join(folder, name);
  const folder = temporaryFolder();
  writeSafetensors(path('whole'), tensorEntries(weights, { dtype: 'float32' }));
  scope('parts', () => {
    const parts = new Map(
      [...weights].map(([name, weight]) => {
        const flat = reshape(weight, [-1]);
        const cut = Math.floor(flat.size / 3);
        return [name, { shape: weight.shape, parts: [narrow(flat, 0, 0, cut), narrow(flat, 0, cut, flat.size - cut)] }];
      }),
    );
    writeSafetensors(path('parts'), tensorEntries(parts, { dtype: 'float32' }));
  });
  expect(readFileSync(path('parts')).equals(readFileSync(path('whole')))).toBe(true);
  disposeAll(weights);
});
