/**
 * @file One rank of the benchmark of ranks: DPO steps of a random 15 M-parameter Llama on random pairs. Rank 0 prints one JSON
 * line. Usage: ranks-run.ts RANK SIZE PORT THREADS STEPS BATCH DTYPE full|lora
 */
import { readFileSync } from 'node:fs';
import { randomKey, uniformAt } from '../src/random.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { microBatches } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import { buildTree, type TreeLogProbs } from '../src/score/trees.ts';
import { setThreads } from '../src/torch/native.ts';
import { narrow, zeros } from '../src/torch/ops.ts';
import { outlive } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { trainPolicy } from '../src/train/train.ts';
import { smallConfig, smallWeights } from '../test/support/small-model.ts';
import { LORA, meetRanks, STEP } from './group.ts';

const [rank = 0, size = 1, port = 0, threads = 1, steps = 8, batch = 8] = process.argv.slice(2, 8).map(Number);
const [dtypeName, adapter] = process.argv.slice(8);
const dtype = dtypeName === 'bfloat16' ? 'bfloat16' : 'float32';
const lora = adapter === 'lora' ? LORA : null;
const MICRO_BATCH_TOKENS = 2048;

const config = smallConfig({
  hidden_size: 288,
  intermediate_size: 768,
  num_hidden_layers: 6,
  num_attention_heads: 6,
  num_key_value_heads: 6,
  vocab_size: 32_000,
  max_position_embeddings: 2048,
});
/** 64 to 192 random tokens. */
function tokens(name: string): Int32Array {
  const key = randomKey(1, name);
  const length = 64 + Math.floor(uniformAt(key, 0) * 129);
  return Int32Array.from({ length }, (_, index) => Math.floor(uniformAt(key, index + 1) * config.vocabularySize));
}
const trees = Array.from({ length: steps * batch }, (_, index) =>
  buildTree({
    pairId: String(index).padStart(6, '0'),
    promptIds: tokens(`prompt ${index}`),
    chosenIds: tokens(`chosen ${index}`),
    rejectedIds: tokens(`rejected ${index}`),
    responseIds: null,
  }),
);

/** Bytes that were sent over the loopback interface, by anybody. */
function loopbackBytes(): number {
  const line =
    readFileSync('/proc/net/dev', 'utf8')
      .split('\n')
      .find((each) => each.trim().startsWith('lo:')) ?? '';
  return Number(line.split(':')[1]?.trim().split(/\s+/)[8] ?? Number.NaN);
}

setThreads(threads);
const policy = openPolicy({ config, weights: smallWeights(config) }, { dtype, purpose: 'train', lora });
const optimiser = openOptimiser(policy);
const reference = new Map<string, TreeLogProbs>();
for (const own of microBatches(trees, MICRO_BATCH_TOKENS))
  for (const [pairId, logProbs] of scoreTrees(policy, own)) reference.set(pairId, logProbs);
const group = await meetRanks({ rank, size, port });

await group.barrier('start');
const [startMs, startBytes] = [performance.now(), loopbackBytes()];
const losses: number[] = [];
const training = trainPolicy(
  {
    policy,
    optimiser,
    steps: Array.from({ length: steps }, (_, step) => trees.slice(step * batch, (step + 1) * batch)),
    firstStep: 0,
    checkpoints: null,
    group,
    reference,
    startsAtReference: true,
  },
  {
    ...STEP,
    maxGradientNorm: null,
    microBatchTokens: MICRO_BATCH_TOKENS,
    activations: 'keep',
  },
);
for await (const { metrics } of training) losses.push(metrics.loss ?? Number.NaN);
await group.barrier('end');
const seconds = (performance.now() - startMs) / 1000;
const bytes = loopbackBytes() - startBytes;
// Only now: what they take and send is not the training's.
const rates = size === 1 ? {} : await collectiveRates();
const parameters = [...policy.masters.values()].reduce((sum, master) => sum + master.size, 0);
if (rank === 0)
  process.stdout.write(
    `${JSON.stringify({
      losses,
      pairs_per_s: trees.length / seconds,
      bytes_a_step: bytes / steps,
      parameters,
      rates,
    })}\n`,
  );
process.exit(0);

/** Bytes a second that a rank sends, in the middle of five. */
async function collectiveRates(): Promise<Record<string, number>> {
  const whole = outlive(zeros([2 ** 24], { dtype: 'float32' }));
  const own = outlive(narrow(whole, 0, (rank * 2 ** 24) / size, 2 ** 24 / size));
  const share = (64 * 2 ** 20 * (size - 1)) / size;
  const rateOf = async (bytes: number, work: () => Promise<void>): Promise<number> => {
    const seconds: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const beganMs = performance.now();
      await work();
      seconds.push((performance.now() - beganMs) / 1000);
    }
    return bytes / (seconds.sort((a, b) => a - b)[2] ?? Number.NaN);
  };
  return {
    sum: await rateOf(2 * share, () => group.sum('sum', [whole])),
    reduce: await rateOf(share, () => group.reduceSlices('reduce', whole, own)),
    gather: await rateOf(share, () => group.gatherSlices('gather', own, whole)),
  };
}
