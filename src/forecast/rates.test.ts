import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { normaliseConfig } from '../model/read-config.ts';
import { expectedWeights } from '../model/weights.ts';
import { loadRecipe } from '../recipe/load.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { threadCount } from '../torch/native.ts';
import { parameterCount } from './cost.ts';
import { blockWeights, operationsOf } from './operations.ts';
import { cutModel, measureRates, trialPrompts } from './rates.ts';

const llama = (changes: Record<string, unknown>) =>
  normaliseConfig({ model_type: 'llama', rms_norm_eps: 1e-5, max_position_embeddings: 512, ...changes }, 'test');

const small = llama({
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 512,
  tie_word_embeddings: true,
});

const large = llama({
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  tie_word_embeddings: false,
});

it('a pass has two operations for each weight that a token meets, and four for each number of a head and token attended to', () => {
  const block = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 172 * 64;
  expect(blockWeights(small)).toBe(block);
  expect(operationsOf(small, { tokens: 10, scored: 0 }, 0)).toBe(10 * 2 * 2 * block);
  expect(operationsOf(small, { tokens: 10, scored: 0 }, 7) - operationsOf(small, { tokens: 10, scored: 0 }, 0)).toBe(
    10 * 4 * 2 * 64 * 7,
  );
  expect(operationsOf(small, { tokens: 0, scored: 3 }, 7)).toBe(3 * 2 * 512 * 64);
});

it('a small model is tried as it is', () => {
  expect(cutModel(small)).toEqual(small);
});

it('a model of eight billion weights is tried as one block with fewer words, its attention whole, and still has all its weights', () => {
  const cut = cutModel(large);
  expect(cut).toMatchObject({ layers: 1, hiddenSize: 4096, heads: 32, keyValueHeads: 8 });
  expect(cut.layerAttention).toHaveLength(1);
  expect(blockWeights(cut)).toBeLessThanOrEqual(48e6);
  expect(parameterCount(cut)).toBeLessThan(100e6);
  expect(expectedWeights(cut).size).toBe(expectedWeights(large).size - 31 * 9);
});

it.each([
  ['a small model decodes texts as long as its samples are half-way', small, 33 + 96 / 2],
  ['a large model decodes shorter ones, which are read soon', cutModel(large), 1024 / 64],
])('in a trial, %s', (_, config, promptTokens) => {
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'));
  const tokens = { prompt: 33, longestPrompt: 33, response: 96, sampled: 96, atMost: true };
  expect(trialPrompts(recipe, { config, tokens, together: 256 })).toEqual({ prompts: 64, samples: 4, promptTokens });
});

it.each([
  ['all weights', []],
  ['an adapter, in bf16', ['training.adapter={kind: lora, rank: 4, alpha: 8}', 'training.dtype=bfloat16']],
])('a trial with %s gives a rate of each kind of work, and frees what it made', async (_, overrides) => {
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'), { overrides });
  const before = memoryStatistics().liveTensors;
  const tokens = { prompt: 8, longestPrompt: 16, response: 12, sampled: 12, atMost: false };
  const { device, threads, processors, ...rates } = await measureRates(recipe, { config: small, tokens, together: 4 });
  expect({ device, threads, processors }).toEqual({ device: 'cpu', threads: 1, processors: threadCount() });
  // A machine that does less than a million operations a second, or more than 10^15, is none.
  for (const rate of Object.values(rates))
    expect(Math.log10(rate)).toSatisfy((power: number) => power > 5 && power < 15);
  expect(memoryStatistics().liveTensors).toBe(before);
});

it('a recipe for a card that this machine has not is tried on the CPU', async () => {
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'), { overrides: ['device=cuda:7'] });
  const tokens = { prompt: 4, longestPrompt: 4, response: 4, sampled: 4, atMost: false };
  expect(await measureRates(recipe, { config: small, tokens, together: 1 })).toMatchObject({ device: 'cpu' });
});
