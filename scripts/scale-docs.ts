/** @file Writes the table of docs/scale.md: what training would take on many GPUs, as src/forecast/scale.ts has it. `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { packageRoot } from '../src/files/package-root.ts';
import { parameterCount } from '../src/forecast/cost.ts';
import { type Cluster, predictScale, type ScaledStep } from '../src/forecast/scale.ts';
import { normaliseConfig } from '../src/model/read-config.ts';

const PAGE = join(packageRoot, 'docs', 'scale.md');
const [BEGIN, END] = ['<!-- table: npm run docs -->', '<!-- end of table -->'];

/** Eight H100 SXM a node; every number is named on the page. */
const H100: Omit<Cluster, 'gpus'> = {
  gpusOfNode: 8,
  peakFlops: 989e12,
  utilisation: 0.4,
  memoryBytes: 80e9,
  nodeBytesPerSecond: 450e9,
  networkBytesPerSecond: 50e9,
  linkEfficiency: 0.7,
};

const MODELS = ['Qwen/Qwen2.5-1.5B', 'meta-llama/Meta-Llama-3-8B-Instruct', 'meta-llama/Meta-Llama-3-70B-Instruct'];
const LORA = { kind: 'lora', rank: 16, alpha: 32, targets: 'all-linear', rankStabilised: false, dropout: 0 } as const;
const BF16 = { dtype: 'bfloat16', states: 'float32' } as const;
const WAYS: [string, ScaledStep['training']][] = [
  ['all weights, none', { ...BF16, adapter: { kind: 'none' }, sharding: 'none' }],
  ['all weights, optimiser', { ...BF16, adapter: { kind: 'none' }, sharding: 'optimiser' }],
  ['all weights, full', { ...BF16, adapter: { kind: 'none' }, sharding: 'full' }],
  ['all weights in bf16 states, none', { ...BF16, states: 'bfloat16', adapter: { kind: 'none' }, sharding: 'none' }],
  ['LoRA, none', { ...BF16, adapter: LORA, sharding: 'none' }],
  ['LoRA, full', { ...BF16, adapter: LORA, sharding: 'full' }],
];
/** 256 pairs of 1,024 tokens. */
const TOKENS = 2 ** 18;

/** The table as Markdown. */
export function scaleTable(): string {
  const published = z
    .object({ models: z.record(z.string(), z.record(z.string(), z.unknown())) })
    .parse(JSON.parse(readFileSync(join(packageRoot, 'recipes', 'published.json'), 'utf8')));
  const lines = [
    '| model | what is trained, sharding | GPUs | GB a GPU | fits in 80 GB | GB sent a step and GPU | seconds: compute, send, step | tokens/s |',
    '| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |',
  ];
  for (const name of MODELS) {
    const config = normaliseConfig(published.models[name] ?? {}, 'recipes/published.json');
    const size = `${(parameterCount(config) / 1e9).toFixed(1)} B`;
    for (const [way, training] of WAYS) {
      for (const gpus of [1, 8, 64]) {
        // One GPU shares with nobody: `none` says it.
        if (gpus === 1 && training.sharding !== 'none') continue;
        const step = { config, training, tokens: TOKENS, microBatchTokens: 8192 };
        const found = predictScale(step, { ...H100, gpus });
        const seconds = [found.computeSeconds, found.sendSeconds, found.stepSeconds].map((each) => each.toFixed(2));
        const cells = [
          size,
          way,
          String(gpus),
          (found.memoryBytes / 1e9).toFixed(1),
          found.fits ? 'yes' : 'no',
          (found.sentBytes / 1e9).toFixed(1),
          seconds.join(', '),
          found.fits ? Math.round(found.tokensPerSecond).toLocaleString('en') : '-',
        ];
        lines.push(`| ${cells.join(' | ')} |`);
      }
    }
  }
  return lines.join('\n');
}

/** The page with the table of today. */
export function scalePage(page: string): string {
  const [before = '', rest = ''] = page.split(BEGIN);
  const [, after = ''] = rest.split(END);
  return `${before}${BEGIN}\n${scaleTable()}\n${END}${after}`;
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked)
  writeFileSync(PAGE, scalePage(readFileSync(PAGE, 'utf8')));
