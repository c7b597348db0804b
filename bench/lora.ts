/** @file Memory and speed of DPO steps that train an adapter, beside steps that train all weights of the same model. */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { here, measure, prepare } from './dpo.ts';

/** The command. Options: --model 15m|110m, --steps, --batch, --threads, --tokens (micro-batch). */
export function benchLora(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: '110m' },
      steps: { type: 'string', default: '2' },
      batch: { type: 'string', default: '4' },
      threads: { type: 'string', default: '2' },
      tokens: { type: 'string', default: '1024' },
    },
  });
  const { modelPath, dataPath } = prepare(values.model);
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${values.model}, ${values.steps} steps of ${values.batch} pairs, LoRA of rank 16 on all-linear\n`,
  );
  for (const dtype of ['float32', 'bfloat16']) {
    const common = [modelPath, dataPath, values.steps, values.batch, dtype, values.threads, values.tokens];
    const [full, lora] = ['full', 'lora'].map((kind) =>
      measure(process.execPath, ['--import', 'tsx', join(here, 'dpo-run.ts'), ...common, kind]),
    );
    for (const [name, result] of [
      ['all weights', full],
      ['LoRA', lora],
    ] as const) {
      process.stdout.write(
        `  ${dtype.padEnd(9)} ${name.padEnd(12)} tensors ${result?.peak_tensor_mb} MiB, resident ${result?.peak_rss_mb} MiB, ${result?.pairs_per_s.toFixed(2)} pairs/s in training\n`,
      );
    }
  }
}
