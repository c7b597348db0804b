/**
 * @file The benchmark of one GPU, at most 8 minutes: steps of SELM on a random Llama 3 of 8 billion weights in bf16, with an adapter
 * and with all weights, and decoding. `npx tsx bench/gpu/main.ts [DEVICE] [OUT.json]`. It prints a table and writes the same as
 * JSON; what does not fit or fails is a row that says so.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { packageRoot } from '../../src/files/package-root.ts';
import { normaliseConfig } from '../../src/model/read-config.ts';
import { chooseDevice } from '../../src/torch/device.ts';
import { askGpus, cardOf } from '../../src/torch/gpus.ts';
import { engineVersion } from '../../src/torch/native.ts';
import { disposeAll } from '../../src/torch/tensor.ts';
import { decode, randomWeights, trainSteps, type Workload } from './work.ts';

const [wanted = 'cuda', out = 'gpu.json'] = process.argv.slice(2);
/** Of an H100 SXM, from its data sheet: dense bf16 products, and HBM3. */
const PEAK_FLOPS = 989e12;
const BYTES_PER_SECOND = 3.35e12;
const SECONDS = 480;

const { device } = chooseDevice({ device: wanted, dtypes: ['bfloat16'] });
const published = z
  .object({ models: z.record(z.string(), z.record(z.string(), z.unknown())) })
  .parse(JSON.parse(readFileSync(join(packageRoot, 'recipes/published.json'), 'utf8')));
const config = normaliseConfig(published.models['meta-llama/Meta-Llama-3-8B-Instruct'] ?? {}, 'recipes/published.json');
const work: Workload = {
  config,
  device,
  pairs: 16,
  promptTokens: 256,
  responseTokens: 256,
  microBatchTokens: 8192,
  steps: 3,
  newTokens: 65,
};

const startedMs = performance.now();
const rows: { what: string; result: unknown; seconds: number }[] = [];

/** Runs one part, unless the time is over; a failure is its result. */
async function part(what: string, run: () => Promise<unknown> | unknown): Promise<void> {
  const beganMs = performance.now();
  const isLate = (beganMs - startedMs) / 1000 > SECONDS * 0.8;
  const fail = (error: unknown): { failed: string } => ({
    failed: error instanceof Error ? error.message : String(error),
  });
  const result = isLate ? { failed: 'no time was left' } : await Promise.resolve().then(run).catch(fail);
  rows.push({ what, result, seconds: (performance.now() - beganMs) / 1000 });
  console.log(`${what.padEnd(28)} ${JSON.stringify(result)}`);
}

const weights = randomWeights(config, device);
await part('LoRA, rank 16', () => trainSteps(work, weights, { lora: true, peakFlops: PEAK_FLOPS }));
for (const batch of [64, 256])
  await part(`decoding, batch ${batch}`, () => decode(work, weights, { batch, bytesPerSecond: BYTES_PER_SECOND }));
await part('all weights, bf16 states', () => trainSteps(work, weights, { lora: false, peakFlops: PEAK_FLOPS }));
disposeAll(weights);

const answer = askGpus();
const card = answer.kind === 'cards' ? cardOf(device, answer.cards) : null;
writeFileSync(
  out,
  `${JSON.stringify({ formatVersion: 1, card, libtorch: engineVersion(), work: { ...work, config: config.family }, rows }, null, 2)}\n`,
);
console.log(`\n| ${['what', 'seconds', 'result'].join(' | ')} |\n| --- | ---: | --- |`);
for (const { what, seconds, result } of rows) console.log(`| ${what} | ${seconds.toFixed(1)} | ${cells(result)} |`);

function cells(result: unknown): string {
  return Object.entries(Object(result))
    .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toPrecision(4) : String(value)}`)
    .join(', ');
}
