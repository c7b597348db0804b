/**
 * @file One rank of the benchmark of memory: two DPO steps of a Llama whose weights are constants. Prints what its tensors
 * took at most, in bytes. Usage: memory-run.ts RANK SIZE PORT float32|bfloat16 full|lora none|optimiser|full TOKENS
 */
import { expectedWeights } from '../src/model/weights.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { microBatches } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import { openSharedPolicy } from '../src/score/shared-policy.ts';
import { buildTree } from '../src/score/trees.ts';
import { memoryStatistics, resetPeak } from '../src/torch/memory.ts';
import { full } from '../src/torch/ops.ts';
import { disposeAll, outlive } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { trainPolicy } from '../src/train/train.ts';
import { LORA, meetRanks, STEP } from './group.ts';
import { memoryConfig } from './memory.ts';

const [rank = 0, size = 1, port = 0] = process.argv.slice(2, 5).map(Number);
const [dtypeName, kind, sharding, tokens] = process.argv.slice(5);
const dtype = dtypeName === 'bfloat16' ? 'bfloat16' : 'float32';
const microBatchTokens = Number(tokens);
const lora = kind === 'lora' ? LORA : null;

const config = memoryConfig();
const weights = new Map(
  [...expectedWeights(config)].map(([name, shape]) => [name, outlive(full(shape, 0.01, { dtype }))]),
);
const group = await meetRanks({ rank, size, port });
const trees = Array.from({ length: 8 }, (_, index) => {
  const ids = (length: number): Int32Array => Int32Array.from({ length }, (__, i) => (7 * i + index) % 1000);
  const pair = {
    promptIds: ids(8),
    chosenIds: ids(microBatchTokens / 2 - 8),
    rejectedIds: ids(microBatchTokens / 2 - 9),
  };
  return buildTree({ pairId: String(index), ...pair, responseIds: null });
});
const policy =
  sharding === 'optimiser' || sharding === 'full'
    ? openSharedPolicy({ config, weights }, { dtype, lora, sharing: { kind: sharding, group } })
    : openPolicy({ config, weights }, { dtype, purpose: 'train', lora });
const start = openPolicy({ config, weights }, { dtype, purpose: 'score', frozen: 'in-place' });
const reference = new Map(microBatches(trees, microBatchTokens).flatMap((batch) => [...scoreTrees(start, batch)]));
start.dispose();
// Training reads the weights below an adapter where they lie; what is trained, or in slices, has been copied.
if (lora === null || sharding === 'full') disposeAll(weights);
const optimiser = openOptimiser(policy);
resetPeak();
const training = trainPolicy(
  {
    policy,
    optimiser,
    steps: [trees.slice(0, 4), trees.slice(4)],
    firstStep: 0,
    checkpoints: null,
    group,
    reference,
    startsAtReference: false,
  },
  {
    ...STEP,
    maxGradientNorm: 1,
    microBatchTokens,
    activations: 'recompute',
  },
);
for await (const _ of training);
if (rank === 0) process.stdout.write(`${memoryStatistics().peakTensorBytes}\n`);
await group.barrier('end');
process.exit(0);
