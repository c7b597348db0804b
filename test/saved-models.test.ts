/**
 * @file Models of every family, trained for a step and saved: the files have the tensors, shapes and configuration of the
 * checkpoint that transformers saved, and load to the policy that was trained. `npm run test:peers` loads them in transformers.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { safetensorsIndex } from '../src/files/safetensors-index.ts';
import { CHECKPOINTS, savedLogits, trainAndSave } from './support/saved-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-saved-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Names of the tensors in a model directory, with their shapes. */
function tensorsOf(directory: string): Record<string, readonly number[]> {
  return Object.fromEntries([...safetensorsIndex(directory).tensors].map(([name, { shape }]) => [name, shape]));
}

// A model with an image tower is saved as the text model that was trained, under that model's own names.
const names = readdirSync(CHECKPOINTS).filter((name) => name !== 'gemma3-with-images');

it.each(names)('%s is saved as transformers saved it, and loads to the same policy', (name) => {
  const directory = join(folder, name);
  const { ids, logits } = trainAndSave(name, directory, 'float32');
  expect(tensorsOf(directory)).toEqual(tensorsOf(join(CHECKPOINTS, name)));
  const config = (at: string): Record<string, unknown> => JSON.parse(readFileSync(join(at, 'config.json'), 'utf8'));
  const { dtype: _saved, torch_dtype: _old, ...rest } = config(directory);
  expect(config(join(CHECKPOINTS, name))).toMatchObject(rest);
  // The same fp32 weights in the same order of operations.
  expect(savedLogits(directory, ids)).toEqual(logits);
});
