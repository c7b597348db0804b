import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { normaliseConfig, readModelConfig } from '../model/read-config.ts';
import { llamaCppModel } from './architecture.ts';

function configOf(name: string, changes: Record<string, unknown> = {}) {
  const { raw } = readModelConfig(join(packageRoot, 'test', 'fixtures', 'models', name));
  return normaliseConfig({ ...raw.fields, ...changes }, 'test');
}

test.each([
  ['qwen2.5-yarn-sliding', {}, 'rope_type is yarn, exported are default, linear and llama3'],
  ['phi3-longrope', {}, 'rope_type is longrope'],
  ['gemma2', {}, 'its attention scores are scaled by'],
  ['gemma3', {}, 'layer 1 has no sliding window, llama.cpp counts in periods of 6'],
] as const)('llamaCppModel() refuses %s with the reason', (name, changes, reason) => {
  expect(() => llamaCppModel(configOf(name, changes))).toThrow(
    expect.objectContaining({ code: 'EXPORT_UNSUPPORTED', message: expect.stringContaining(reason) }),
  );
});

test('llamaCppModel() ends the context where a window that llama.cpp does not know begins to count', () => {
  expect(llamaCppModel(configOf('mistral')).contextLength).toBe(9);
  expect(llamaCppModel(configOf('mistral', { sliding_window: null })).contextLength).toBe(512);
});

test('llamaCppModel() divides the frequencies of Llama 3.1 in a tensor: kept, blended and stretched', () => {
  const { ropeDivisors } = llamaCppModel(configOf('llama3'));
  const [first, ...others] = ropeDivisors ?? [];
  expect(first).toBe(1);
  expect(others.at(-1)).toBeCloseTo(8, 5);
  expect(llamaCppModel(configOf('llama2')).ropeDivisors).toBeNull();
});

test('llamaCppModel() turns rows of queries and keys for the families that llama.cpp calls llama, and of no other', () => {
  const turned = (name: string) =>
    llamaCppModel(configOf(name)).tensors.flatMap(({ name: tensor, change }) =>
      change.kind === 'pair-rows' ? [`${tensor} ${change.heads}`] : [],
    );
  expect(turned('biases').slice(0, 4)).toEqual([
    'blk.0.attn_q.weight 4',
    'blk.0.attn_q.bias 4',
    'blk.0.attn_k.weight 2',
    'blk.0.attn_k.bias 2',
  ]);
  expect(turned('qwen2')).toEqual([]);
});
