/**
 * @file Stages around training, in a process of their own: a model is opened to be trained, saved, and opened to be sampled from. Prints
 * what the tensors of each took at most, in bytes: a second copy of the weights anywhere would show. Mapped files are no part of it.
 * Usage: memory-stages-run.ts float32|bfloat16 full|lora RESPONSES TOKENS
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../src/files/package-root.ts';
import { namedFactors, writeAdapterFiles } from '../src/model/adapter/adapter.ts';
import { withModel } from '../src/model/load.ts';
import { writeModelFiles } from '../src/model/save.ts';
import { expectedWeights } from '../src/model/weights.ts';
import { randomKey } from '../src/random.ts';
import { generate } from '../src/sample/generate.ts';
import { openSampler } from '../src/sample/sampler.ts';
import { openPolicy } from '../src/score/policy.ts';
import { noGrad } from '../src/torch/autograd.ts';
import { memoryStatistics, resetPeak } from '../src/torch/memory.ts';
import { full } from '../src/torch/ops.ts';
import { disposeAll, outlive, scope } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { LORA } from './group.ts';
import { memoryConfig } from './memory.ts';

const [dtypeName, kind, responses, tokens] = process.argv.slice(2);
const dtype = dtypeName === 'bfloat16' ? 'bfloat16' : 'float32';
const lora = kind === 'lora' ? LORA : null;

/** The most that the tensors took while `body` ran. */
async function peakOf<Result>(body: () => Result | Promise<Result>): Promise<{ result: Result; bytes: number }> {
  resetPeak();
  const result = await body();
  return { result, bytes: memoryStatistics().peakTensorBytes };
}

const folder = mkdtempSync(join(tmpdir(), 'selm-bench-memory-'));
try {
  const config = memoryConfig();
  const base = join(packageRoot, 'assets', 'stories260K');
  const start = join(folder, 'start');
  const weights = new Map(
    [...expectedWeights(config)].map(([name, shape]) => [name, outlive(full(shape, 0.01, { dtype }))]),
  );
  writeInto(start, (path) => writeModelFiles(path, { base, raw: config.raw, weights, dtype }));
  disposeAll(weights);

  const opening = await peakOf(() => {
    const policy = withModel(start, (model) => openPolicy(model, { dtype, purpose: 'train', lora }));
    return { policy, optimiser: openOptimiser(policy, { seed: 0, training: ['train', 1] }) };
  });
  const { policy, optimiser } = opening.result;
  const saved = join(folder, 'saved');
  const saving = await peakOf(() =>
    writeInto(saved, (path) =>
      policy.lowRank === null
        ? writeModelFiles(path, { base: start, raw: config.raw, weights: policy.masters, dtype: 'as-it-is' })
        : writeAdapterFiles(path, {
            adapter: policy.lowRank.adapter,
            factors: namedFactors(policy.lowRank.adapter),
            config,
            base: start,
          }),
    ),
  );
  optimiser.dispose();
  policy.dispose();

  const sampling = await peakOf(async () => {
    const sampler = withModel(saved, (model) => openSampler(model, { dtype }));
    const requests = Array.from({ length: Number(responses) }, (_, index) => ({
      promptId: String(index),
      promptIds: [1, 2, 3, 4, 5, 6, 7, 8],
      samples: [{ sampleIndex: 0, key: randomKey(index) }],
    }));
    const options = { temperature: 1, topP: 1, topK: 0, maxNewTokens: Number(tokens), stopIds: [] };
    for await (const _ of generate(sampler, requests, { ...options, batchSize: requests.length }));
    sampler.dispose();
  });
  const bytes = { opening: opening.bytes, saving: saving.bytes, sampling: sampling.bytes };
  process.stdout.write(`${JSON.stringify(bytes)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Writes files into a new folder. */
function writeInto(path: string, write: (path: string) => unknown): void {
  mkdirSync(path);
  scope('write', () => noGrad(() => void write(path)));
}
