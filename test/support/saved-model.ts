/** @file A small checkpoint, trained for one step and saved, and what this package computes with it. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/files/package-root.ts';
import { loadModel } from '../../src/model/load.ts';
import { longAfter } from '../../src/model/rope.ts';
import { type SavedDtype, writeModelFiles } from '../../src/model/save.ts';
import { logitsOf } from '../../src/score/head.ts';
import { scoreTrees } from '../../src/score/log-probs.ts';
import { packTrees } from '../../src/score/packing.ts';
import { openPolicy, type Policy } from '../../src/score/policy.ts';
import { scoredHidden } from '../../src/score/stream.ts';
import { buildTree } from '../../src/score/trees.ts';
import { noGrad } from '../../src/torch/autograd.ts';
import { scope, toFloat32Array } from '../../src/torch/tensor.ts';
import { openOptimiser } from '../../src/train/optimiser.ts';
import { withoutPause } from '../../src/train/pausing.ts';
import { trainingStep } from '../../src/train/step.ts';

/** Checkpoints that transformers saved. */
export const CHECKPOINTS = join(packageRoot, 'test', 'fixtures', 'models');

/** One step of DPO on two sequences of a checkpoint; returns ids, and the logits of the policy that was saved, in fp32. */
export function trainAndSave(
  name: string,
  directory: string,
  dtype: SavedDtype,
): { ids: Int32Array; logits: Float32Array } {
  const base = join(CHECKPOINTS, name);
  const { inputIds, promptLength } = JSON.parse(readFileSync(join(base, 'expected.json'), 'utf8')) as {
    inputIds: number[][];
    promptLength: number;
  };
  const [first = [], second = []] = inputIds;
  const model = loadModel(base);
  const policy = openPolicy(model, { dtype: 'float32', purpose: 'train' });
  model.dispose();
  const tree = buildTree({
    pairId: 'x',
    promptIds: Int32Array.from(second.slice(0, promptLength)),
    chosenIds: Int32Array.from(second.slice(promptLength)),
    rejectedIds: Int32Array.from(first.slice(promptLength)),
    responseIds: null,
  });
  const batch = packTrees([tree], longAfter(policy.config));
  const optimiser = openOptimiser(policy);
  withoutPause(
    trainingStep(policy, optimiser, {
      batches: [batch],
      reference: scoreTrees(policy, batch),
      objective: { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } },
      activations: 'keep',
      adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      learningRate: 0.02,
      maxGradientNorm: 1,
    }),
  );
  mkdirSync(directory);
  writeModelFiles(directory, { base, raw: policy.config.raw, weights: policy.masters, dtype });
  const ids = Int32Array.from(second);
  const logits = policyLogits(policy, ids);
  policy.dispose();
  return { ids, logits };
}

/** Logits of a model directory for all ids but the last, which is read by nobody. */
export function savedLogits(directory: string, ids: Int32Array): Float32Array {
  const model = loadModel(directory);
  const policy = openPolicy(model, { dtype: 'float32', purpose: 'score' });
  model.dispose();
  const logits = policyLogits(policy, ids);
  policy.dispose();
  return logits;
}

function policyLogits(policy: Policy, ids: Int32Array): Float32Array {
  const continuation = ids.slice(1);
  const tree = buildTree({
    pairId: 'x',
    promptIds: ids.slice(0, 1),
    chosenIds: continuation,
    rejectedIds: continuation,
    responseIds: null,
  });
  return scope('logits', () =>
    noGrad(() => toFloat32Array(logitsOf(policy, scoredHidden(policy, packTrees([tree], longAfter(policy.config)))))),
  );
}
