/**
 * @file Our side of the comparison, in a process of its own: tokenise, score the reference, train; prints one JSON line with
 * the fields of bench/peers/trl_dpo.py. Usage: dpo-run.ts MODEL DATA STEPS BATCH DTYPE THREADS MICRO_BATCH_TOKENS [full|lora [STATES]]
 */

import { readRows } from '../src/data/read.ts';
import { blockWeights } from '../src/forecast/operations.ts';
import { loadModel } from '../src/model/load.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { microBatches } from '../src/score/packing.ts';
import { type ComputeDtype, openPolicy, type StateDtype } from '../src/score/policy.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../src/score/trees.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { withoutPause } from '../src/train/pausing.ts';
import { trainingStep } from '../src/train/step.ts';
import { renderPairAsTrl } from '../test/trl-rendering.ts';
import { productRate } from './rates.ts';

const [modelPath = '', dataPath = '', ...numbers] = process.argv.slice(2);
const [steps = 8, batch = 8] = numbers.slice(0, 2).map(Number);
const dtype: ComputeDtype = numbers[2] === 'bfloat16' ? 'bfloat16' : 'float32';
const [threads = 2, microBatchTokens = 2048] = numbers.slice(3, 5).map(Number);
const settings = { rank: 16, alpha: 32, rankStabilised: false, targets: 'all-linear' } as const;
const lora = numbers[5] === 'lora' ? { settings, seed: 1 } : null;
const states: StateDtype = numbers[6] === 'bfloat16' ? 'bfloat16' : 'float32';
const MAX_LENGTH = 1024;

setThreads(threads);
const model = loadModel(modelPath);
const policy = openPolicy(model, { dtype, purpose: 'train', lora, states });
model.dispose(); // as a run does: its files are no part of what training holds
const optimiser = openOptimiser(policy);

// The peer's clock starts when its model is loaded: so does ours.
const startedMs = performance.now();
const cpuBefore = process.cpuUsage();
const tokenizer = loadTokenizer(modelPath);
const trees: PairTree[] = [];
for await (const parsed of readRows([dataPath])) {
  if (parsed.kind === 'problem' || parsed.row.chosen === null || parsed.row.rejected === null) continue;
  const { prompt, chosen, rejected } = parsed.row;
  const ids = renderPairAsTrl(tokenizer, { prompt, chosen, rejected }, MAX_LENGTH);
  if (ids === null) continue;
  const [promptIds, chosenIds, rejectedIds] = [ids.promptIds, ids.chosenIds, ids.rejectedIds].map((each) =>
    Int32Array.from(each),
  );
  if (promptIds === undefined || chosenIds === undefined || rejectedIds === undefined) continue;
  trees.push(
    buildTree({ pairId: String(trees.length).padStart(6, '0'), promptIds, chosenIds, rejectedIds, responseIds: null }),
  );
  if (trees.length === steps * batch) break;
}
const plan = Array.from({ length: steps }, (_, step) =>
  microBatches(trees.slice(step * batch, (step + 1) * batch), microBatchTokens),
);
const referenceMs = performance.now();
const reference = new Map<string, TreeLogProbs>();
for (const own of plan.flat())
  for (const [pairId, logProbs] of scoreTrees(policy, own)) reference.set(pairId, logProbs);

const trainingMs = performance.now();
const losses = plan.map(
  (batches) =>
    withoutPause(
      trainingStep(policy, optimiser, {
        batches,
        reference,
        objective: { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } },
        activations: 'keep',
        adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
        learningRate: 5e-7,
        maxGradientNorm: null,
      }),
    ).loss,
);
const endMs = performance.now();
const { user, system } = process.cpuUsage(cpuBefore);
// Forwards and backwards are six operations for each weight that a token or a scored row meets, the reference's pass two; of
// attention and of what is computed again none is counted.
const { config } = model;
const met = plan
  .flat()
  .reduce(
    (sum, { ids_T, rows_S }) =>
      sum +
      ids_T.length * config.layers * blockWeights(config) +
      rows_S.length * config.vocabularySize * config.hiddenSize,
    0,
  );
const memory = memoryStatistics();
const peak = productRate(dtype);
process.stdout.write(
  `${JSON.stringify({
    losses,
    pairs_per_s: trees.length / ((endMs - trainingMs) / 1000),
    pairs_per_s_all: trees.length / ((endMs - startedMs) / 1000),
    processor_s: (user + system) / 1e6,
    share_of_peak: (8 * met) / ((endMs - referenceMs) / 1000) / peak,
    peak_gflop_per_s: peak / 1e9,
    peak_tensor_mb: Math.round(memory.peakTensorBytes / 2 ** 20),
    peak_rss_mb: Math.round(memory.peakResidentBytes / 2 ** 20),
  })}\n`,
);
