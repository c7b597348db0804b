/**
 * @file Models of every family, trained for a step and saved, load in transformers and give the same logits there. Needs
 * the Python environment of scripts/fixtures/README.md: `$SELM_PEERS_PYTHON`, or ~/.cache/selm/peers; is skipped without it.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../src/files/safetensors-write.ts';
import { loadModel } from '../src/model/load.ts';
import { longAfter } from '../src/model/rope.ts';
import { type SavedDtype, writeModelFiles } from '../src/model/save.ts';
import { logitsOf } from '../src/score/head.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { packTrees } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import { scoredHidden } from '../src/score/stream.ts';
import { buildTree } from '../src/score/trees.ts';
import { noGrad } from '../src/torch/autograd.ts';
import { packageRoot } from '../src/torch/native.ts';
import { scope, toFloat32Array } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { withoutPause } from '../src/train/pausing.ts';
import { trainingStep } from '../src/train/step.ts';

const python = process.env.SELM_PEERS_PYTHON ?? join(homedir(), '.cache', 'selm', 'peers', 'bin', 'python');
const root = join(packageRoot, 'test', 'fixtures', 'models');
const names = readdirSync(root);
const absent = !existsSync(python);
if (absent)
  console.warn(`Saved models are not loaded in transformers: there is no ${python} (scripts/fixtures/README.md)`);

/** One step of DPO on two sequences of the fixture; returns the ids that the logits are compared on. */
function trainAndSave(name: string, directory: string, dtype: SavedDtype): Int32Array {
  const base = join(root, name);
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
  policy.dispose();
  return Int32Array.from(second);
}

/** Writes what this package computes with the saved model beside it. */
function writeLogits(directory: string, ids: Int32Array): void {
  const model = loadModel(directory);
  const policy = openPolicy(model, { dtype: 'float32', purpose: 'score' });
  model.dispose();
  const continuation = ids.slice(1);
  const tree = buildTree({
    pairId: 'x',
    promptIds: ids.slice(0, 1),
    chosenIds: continuation,
    rejectedIds: continuation,
    responseIds: null,
  });
  const logits = scope('logits', () =>
    noGrad(() => toFloat32Array(logitsOf(policy, scoredHidden(policy, packTrees([tree], longAfter(policy.config)))))),
  );
  const bytes = (values: Float32Array | Int32Array): Uint8Array => new Uint8Array(values.buffer.slice(0));
  // The last token is read by nobody; transformers decides by all of them which factors longrope takes.
  const shape = [ids.length - 1, policy.config.vocabularySize];
  policy.dispose();
  writeSafetensors(
    join(directory, 'logits.safetensors'),
    [
      { name: 'ids', dtype: 'I32', shape: [ids.length], bytes: bytes(ids) },
      { name: 'logits', dtype: 'F32', shape, bytes: bytes(logits) },
    ],
    [],
  );
}

describe.skipIf(absent)('a model that was trained and saved', () => {
  let folder = '';
  let found: Record<string, { difference: number; missing: string[]; unexpected: string[] }> = {};
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'selm-saved-'));
    names.forEach((name, i) => {
      const directory = join(folder, name);
      writeLogits(directory, trainAndSave(name, directory, i % 2 === 0 ? 'float32' : 'bfloat16'));
    });
    const script = join(packageRoot, 'scripts', 'fixtures', 'check_saved_models.py');
    const output = execFileSync(python, [script, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    found = JSON.parse(output.trim().split('\n').at(-1) ?? '') as typeof found;
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(names)('loads in transformers with the same logits: %s', (name) => {
    expect(found[name]).toMatchObject({ missing: [], unexpected: [] });
    expect(found[name]?.difference).toBeLessThan(1e-4);
  });
});
