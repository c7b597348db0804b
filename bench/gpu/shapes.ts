/** @file The two sizes of the benchmark of a GPU: a published shape of 8 billion weights, and one that a CPU computes in seconds. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { packageRoot } from '../../src/files/package-root.ts';
import { normaliseConfig } from '../../src/model/read-config.ts';
import type { Workload } from './work.ts';

export type Size = 'full' | 'tiny';

/** The models of recipes/published.json by their names on the Hub. */
const Published = z.object({ models: z.record(z.string(), z.record(z.string(), z.unknown())) });
const NAME = 'meta-llama/Meta-Llama-3-8B-Instruct';

/** config.json of a size, as transformers reads it too. */
export function rawConfig(size: Size): Record<string, unknown> {
  const text = readFileSync(join(packageRoot, 'recipes', 'published.json'), 'utf8');
  const published = Published.parse(JSON.parse(text)).models[NAME] ?? {};
  if (size === 'full') return published;
  return {
    ...published,
    ...{ hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ num_key_value_heads: 2, vocab_size: 512 },
  };
}

/** How much is done of a size. */
export function workOf(size: Size, device: string): Workload {
  const config = normaliseConfig(rawConfig(size), 'recipes/published.json');
  return size === 'full'
    ? {
        ...{ config, device, pairs: 16, promptTokens: 256, responseTokens: 256, microBatchTokens: 8192 },
        ...{ steps: 3, newTokens: 97, prefillTokens: 512 },
      }
    : {
        ...{ config, device, pairs: 4, promptTokens: 16, responseTokens: 16, microBatchTokens: 128 },
        ...{ steps: 1, newTokens: 4, prefillTokens: 32 },
      };
}
