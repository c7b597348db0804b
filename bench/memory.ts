/**
 * @file Bytes a weight that each way of training takes at most, beside what a dry run plans for it. Tensors only: the engine's
 * own code and Node are no part of either.
 */
import { join } from 'node:path';
import { memoryOf, parameterCount } from '../src/forecast/cost.ts';
import type { ModelConfig } from '../src/model/config.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { smallConfig } from '../test/support/small-model.ts';
import { here } from './dpo.ts';
import { outputsOfRanks } from './ranks.ts';

const TOKENS = 256;

/** A Llama of 40 M parameters, most of them in its blocks, as in large models. */
export function memoryConfig(): ModelConfig {
  return smallConfig({
    hidden_size: 512,
    intermediate_size: 1408,
    num_hidden_layers: 12,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    vocab_size: 4096,
    max_position_embeddings: 2048,
  });
}

const WAYS = [
  { sharding: 'none', ranks: 1 },
  { sharding: 'optimiser', ranks: 2 },
  { sharding: 'full', ranks: 2 },
  { sharding: 'full', ranks: 4 },
] as const;

/** The command. */
export async function benchMemory(): Promise<void> {
  const config = memoryConfig();
  const parameters = parameterCount(config);
  process.stdout.write(
    `${(parameters / 1e6).toFixed(1)} M parameters, micro-batches of ${TOKENS} tokens, peak bytes a weight\n`,
  );
  for (const kind of ['full', 'lora']) {
    for (const dtype of ['float32', 'bfloat16']) {
      for (const { sharding, ranks } of WAYS) {
        const args = [dtype, kind, sharding, String(TOKENS)];
        const lines = await outputsOfRanks(join(here, 'memory-run.ts'), ranks, args);
        const measured = Number(lines.join('').trim());
        const adapter = kind === 'lora' ? ['training.adapter={kind: lora, rank: 16, alpha: 32}'] : [];
        const overrides = [
          `training.dtype=${dtype}`,
          `training.sharding=${sharding}`,
          `training.microBatchTokens=${TOKENS}`,
          'training.activations=recompute',
          ...adapter,
        ];
        const recipe = loadRecipe(join(here, '..', 'recipes', 'quickstart.yaml'), { overrides });
        const tokens = { prompt: 8, longestPrompt: 8, response: 120, sampled: 120, atMost: false };
        const plan = memoryOf(recipe, { config, tokens, ranks }).training.reduce((sum, { bytes }) => sum + bytes, 0);
        const each = (bytes: number): string => (bytes / parameters).toFixed(2).padStart(6);
        process.stdout.write(
          `  ${kind.padEnd(5)} ${dtype.padEnd(9)} sharding ${sharding.padEnd(10)} ${ranks} ranks  measured ${each(measured)}  planned ${each(plan)}  ratio ${(measured / plan).toFixed(2)}\n`,
        );
      }
    }
  }
}
