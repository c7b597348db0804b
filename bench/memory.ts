/**
 * @file Bytes a weight that opening, training, saving and sampling take at most, beside what a dry run plans for them. Tensors only: the engine's
 * own code and Node are no part of either.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type MemoryForecast, type MemoryPart, memoryOf, parameterCount } from '../src/forecast/cost.ts';
import type { ModelConfig } from '../src/model/config.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { smallConfig } from '../test/support/small-model.ts';
import { here } from './dpo.ts';
import { outputOf, outputsOfRanks } from './ranks.ts';
import { saveResult } from './results.ts';

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

/** Responses that are sampled at once, and tokens of each. */
const [RESPONSES, SAMPLED] = [32, 120];

/** A peak beside its plan. */
interface Row {
  what: string;
  measuredBytes: number;
  plannedBytes: number;
}

/** How far a peak may be from its plan. */
const TOLERANCE = 0.1;

/** The command. Options: --save NAME. Exit code 1 where a peak is further from its plan than it may be. */
export async function benchMemory(options: string[]): Promise<void> {
  const { values } = parseArgs({ args: options, options: { save: { type: 'string' } } });
  const config = memoryConfig();
  const parameters = parameterCount(config);
  process.stdout.write(
    `${(parameters / 1e6).toFixed(1)} M parameters, micro-batches of ${TOKENS} tokens, ${RESPONSES} responses of ${SAMPLED} tokens; peak bytes a weight\n`,
  );
  const rows: Row[] = [];
  for await (const row of measuredRows(config)) {
    rows.push(row);
    const each = (bytes: number): string => (bytes / parameters).toFixed(2).padStart(6);
    process.stdout.write(
      `  ${row.what.padEnd(48)} measured ${each(row.measuredBytes)}  planned ${each(row.plannedBytes)}  ratio ${ratioOf(row).toFixed(2)}\n`,
    );
  }
  const beyond = rows.filter((row) => Math.abs(ratioOf(row) - 1) > TOLERANCE);
  process.stdout.write(`${rows.length - beyond.length} of ${rows.length} within ${100 * TOLERANCE} % of the plan\n`);
  if (beyond.length > 0) process.exitCode = 1;
  if (values.save !== undefined) {
    const settings = { parameters, microBatchTokens: TOKENS, responses: RESPONSES, tokens: SAMPLED };
    saveResult(values.save, { settings, rows });
  }
}

function ratioOf({ measuredBytes, plannedBytes }: Row): number {
  return measuredBytes / plannedBytes;
}

/** Every way of training, with the stages around it. */
async function* measuredRows(config: ModelConfig): AsyncGenerator<Row> {
  for (const kind of ['full', 'lora'] as const) {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      yield* stageRows({ config, kind, dtype });
      for (const { sharding, ranks } of WAYS) {
        const args = [dtype, kind, sharding, String(TOKENS)];
        const lines = await outputsOfRanks(join(here, 'memory-run.ts'), ranks, args);
        const { training } = plannedOf({ config, kind, dtype, sharding, ranks });
        yield {
          what: `${kind} ${dtype}, training, sharding ${sharding}, ${ranks} ranks`,
          measuredBytes: Number(lines.join('').trim()),
          plannedBytes: sumOf(training),
        };
      }
    }
  }
}

interface Way {
  config: ModelConfig;
  kind: 'full' | 'lora';
  dtype: 'float32' | 'bfloat16';
}

/** Opening, saving and sampling, which a second copy of the weights would show in. */
async function* stageRows(way: Way): AsyncGenerator<Row> {
  const { kind, dtype } = way;
  const args = [dtype, kind, String(RESPONSES), String(SAMPLED)];
  const measured = stages.parse(JSON.parse(await outputOf(join(here, 'memory-stages-run.ts'), args)));
  const { training, sampling } = plannedOf({ ...way, sharding: 'none', ranks: 1 });
  // What is there before the first step: no activations, no logits.
  const states = sumOf(training.filter(({ what }) => !/^(activations|logits)/.test(what)));
  // Weights below an adapter stay in their file: the system pages them in, and they are no tensor's memory.
  const inFile = kind === 'lora' ? parameterCount(way.config) * (dtype === 'float32' ? 4 : 2) : 0;
  const row = (stage: string, measuredBytes: number, plannedBytes: number): Row => {
    return { what: `${kind} ${dtype}, ${stage}`, measuredBytes, plannedBytes };
  };
  yield row('opening to train', inFile + measured.opening, states);
  yield row('saving', inFile + measured.saving, states);
  yield row('opening and sampling', measured.sampling, sumOf(sampling));
}

const stages = z.object({ opening: z.number(), saving: z.number(), sampling: z.number() });

/** What a dry run plans. */
function plannedOf({
  config,
  kind,
  dtype,
  sharding,
  ranks,
}: Way & { sharding: string; ranks: number }): MemoryForecast {
  const adapter = kind === 'lora' ? ['training.adapter={kind: lora, rank: 16, alpha: 32}'] : [];
  const overrides = [
    `training.dtype=${dtype}`,
    `training.sharding=${sharding}`,
    `training.microBatchTokens=${TOKENS}`,
    'training.activations=recompute',
    `sampling.dtype=${dtype}`,
    `sampling.batchSize=${RESPONSES}`,
    'sampling.samples=1',
    `sampling.maxNewTokens=${SAMPLED}`,
    ...adapter,
  ];
  const recipe = loadRecipe(join(here, '..', 'recipes', 'quickstart.yaml'), { overrides });
  const tokens = { prompt: 8, longestPrompt: 8, response: SAMPLED, sampled: SAMPLED, atMost: false };
  return memoryOf(recipe, { config, tokens, ranks });
}

function sumOf(parts: readonly MemoryPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}
