/**
 * @file Adapters against PEFT 0.19 and TRL 1.16: PEFT's adapters read here give PEFT's logits, what is written here has
 * PEFT's names and values, and 20 steps of LoRA DPO lose what TRL's do. Fixtures: scripts/fixtures/lora.py.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { readSafetensorsHeader } from '../src/files/safetensors.ts';
import { namedFactors, readAdapter, writeAdapterFiles } from '../src/model/adapter/adapter.ts';
import { type Adapter, targetShapes } from '../src/model/adapter/lora.ts';
import { mergeAdapter } from '../src/model/adapter/merge.ts';
import { loadModel, type Model } from '../src/model/load.ts';
import { pagesFor } from '../src/sample/pages.ts';
import { openCache, openSampler, prefill } from '../src/sample/sampler.ts';
import { logitsOf } from '../src/score/head.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { microBatches, packTrees } from '../src/score/packing.ts';
import { openPolicy, type Policy } from '../src/score/policy.ts';
import { scoredHidden } from '../src/score/stream.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../src/score/trees.ts';
import { noGrad } from '../src/torch/autograd.ts';
import { mapFile, mappedTensor } from '../src/torch/mapped-file.ts';
import { scope, toFloat32Array } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { withoutPause } from '../src/train/pausing.ts';
import { trainingStep } from '../src/train/step.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'peft');
const temporary = mkdtempSync(join(tmpdir(), 'selm-lora-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** An adapter of the fixtures with its base, which its configuration names by a path below the repository. */
function loadFixture(name: string): Model {
  const base = loadModel(join(packageRoot, configOf(name).base_model_name_or_path));
  return { ...base, adapter: readAdapter(join(fixtures, name), base) };
}

function configOf(name: string): { base_model_name_or_path: string } & Record<string, unknown> {
  return JSON.parse(readFileSync(join(fixtures, name, 'adapter_config.json'), 'utf8')) as ReturnType<typeof configOf>;
}

function expectedLogits(name: string): { ids: number[]; logits_TV: Float32Array } {
  const { inputIds } = JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8')) as {
    inputIds: number[];
  };
  const path = join(fixtures, name, 'expected.safetensors');
  const header = readSafetensorsHeader(path);
  const entry = header.tensors.get('logits');
  if (entry === undefined) throw new Error('No logits');
  const logits_TV = scope('logits', () =>
    toFloat32Array(
      mappedTensor(mapFile(path), {
        begin: header.dataOffset + entry.begin,
        end: header.dataOffset + entry.end,
        dtype: 'float32',
        shape: entry.shape,
      }),
    ),
  );
  return { ids: inputIds, logits_TV };
}

/** Logits after every token but the last, as training computes them. */
function trainerLogits(policy: Policy, ids: readonly number[]): Float32Array {
  const continuation = Int32Array.from(ids.slice(1));
  const tree = buildTree({
    pairId: 'all',
    promptIds: Int32Array.from(ids.slice(0, 1)),
    chosenIds: continuation,
    rejectedIds: continuation,
    responseIds: null,
  });
  return scope('logits', () =>
    noGrad(() => {
      const hidden_SD = scoredHidden(policy, packTrees([tree]));
      return toFloat32Array(logitsOf(policy, hidden_SD));
    }),
  );
}

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBeGreaterThan(0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
}

function values(adapter: Adapter): Map<string, number[]> {
  return new Map([...namedFactors(adapter)].map(([name, tensor]) => [name, Array.from(toFloat32Array(tensor))]));
}

const adapters = readdirSync(fixtures).filter((name) => name !== 'dpo');

describe.each(adapters)("PEFT's adapter %s", (name) => {
  it('gives the logits of PEFT within 1e-4, in training and in sampling', () => {
    const model = loadFixture(name);
    const { ids, logits_TV } = expectedLogits(name);
    const vocabulary = model.config.vocabularySize;
    for (const frozen of ['in-place', 'copied'] as const) {
      const policy = openPolicy(model, { dtype: 'float32', purpose: 'score', frozen });
      expect(policy.lowRank === null).toBe(frozen === 'copied');
      // fp32 on both sides, products in another order.
      expect(largestDifference(trainerLogits(policy, ids), logits_TV), frozen).toBeLessThan(1e-4);
      policy.dispose();
    }

    const sampler = openSampler(model);
    const cache = openCache(sampler, ids.length + 1);
    const pages = cache.pages.take(pagesFor(ids.length));
    const last = scope('last', () => toFloat32Array(prefill(sampler, cache, [{ ids, pages, known: 0 }])));
    expect(largestDifference(last, logits_TV.subarray((ids.length - 1) * vocabulary))).toBeLessThan(1e-4);
    cache.dispose();
    sampler.dispose();
    model.dispose();
  });

  it('gives the logits of PEFT when it was merged, also in bf16 where the rounding of weights allows', async () => {
    const model = loadFixture(name);
    const { ids, logits_TV } = expectedLogits(name);
    if (model.adapter === null) throw new Error('No adapter');
    const folder = mkdtempSync(join(temporary, 'adapter-'));
    const base = join(packageRoot, configOf(name).base_model_name_or_path);
    writeAdapterFiles(folder, { adapter: model.adapter, config: model.config, base });
    model.dispose();
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const out = join(folder, dtype);
      await mergeAdapter(folder, out, dtype);
      const merged = loadModel(out);
      expect(merged.adapter).toBeNull();
      expect(merged.weights.get('model.layers.1.self_attn.o_proj.weight')?.dtype).toBe(dtype);
      const policy = openPolicy(merged, { dtype: 'float32', purpose: 'score' });
      const spread = Math.max(...logits_TV) - Math.min(...logits_TV);
      // fp32: one rounding of W + scale B A. bf16: 8 bits of each weight, through two blocks.
      const tolerance = dtype === 'float32' ? 1e-4 : 0.02 * spread;
      expect(largestDifference(trainerLogits(policy, ids), logits_TV)).toBeLessThan(tolerance);
      policy.dispose();
      merged.dispose();
    }
  });

  it('is written as it was read: names, shapes, values and the settings that matter', () => {
    const model = loadFixture(name);
    const { adapter } = model;
    if (adapter === null) throw new Error('No adapter');
    const folder = mkdtempSync(join(temporary, 'written-'));
    const theirs = configOf(name);
    writeAdapterFiles(folder, { adapter, config: model.config, base: theirs.base_model_name_or_path });

    const ours = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    for (const [field, value] of Object.entries(ours)) {
      // Dropout acts in training only, and ours is 0; the same modules can be named in several ways.
      if (field === 'lora_dropout') expect(value).toBe(0);
      // Outside of the base's project its folder is named in full.
      else if (field === 'base_model_name_or_path') expect(value).toBe(resolve(theirs.base_model_name_or_path));
      else if (field !== 'target_modules') expect(value, field).toEqual(theirs[field]);
    }
    const meant = ({ target_modules }: Record<string, unknown>): string[] => [
      ...targetShapes(model.config, target_modules as string[]).keys(),
    ];
    expect(meant(ours)).toEqual(meant(theirs));
    expect(meant(ours)).toEqual([...adapter.factors.keys()]);
    const [written, original] = [folder, join(fixtures, name)].map((each) =>
      readSafetensorsHeader(join(each, 'adapter_model.safetensors')),
    );
    expect([...(written?.tensors ?? [])].map(([each, { dtype, shape }]) => [each, dtype, shape]).sort()).toEqual(
      [...(original?.tensors ?? [])].map(([each, { dtype, shape }]) => [each, dtype, shape]).sort(),
    );
    const again = readAdapter(folder, model);
    expect(values(again)).toEqual(values(adapter));
    expect(again.scale).toBe(adapter.scale);
  });
});

interface Steps {
  beta: number;
  learningRate: number;
  optimiser: { beta1: number; beta2: number; epsilon: number; weightDecay: number };
  steps: { loss: number; gradientNorm: number; rows: number[] }[];
  rows: { prompt: number[]; chosen: number[]; rejected: number[] }[];
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / Math.abs(expected);
}

it('20 steps of LoRA DPO from the same adapter lose what TRL with PEFT loses, and end at the same adapter', () => {
  const fixture = JSON.parse(readFileSync(join(fixtures, 'dpo', 'steps.json'), 'utf8')) as Steps;
  const trees: PairTree[] = fixture.rows.map(({ prompt, chosen, rejected }, i) =>
    buildTree({
      pairId: String(i),
      promptIds: Int32Array.from(prompt),
      chosenIds: Int32Array.from(chosen),
      rejectedIds: Int32Array.from(rejected),
      responseIds: null,
    }),
  );
  const model = loadFixture(join('dpo', 'initial'));
  const settings = { rank: 8, alpha: 16, rankStabilised: false, targets: 'all-linear' } as const;
  const policy = openPolicy(model, { dtype: 'float32', purpose: 'train', lora: { settings, seed: 0 } });
  const optimiser = openOptimiser(policy);
  // The reference is the base without the adapter, whose B is zero at the start.
  const base = openPolicy({ ...model, adapter: null }, { dtype: 'float32', purpose: 'score', frozen: 'in-place' });
  const batchesOf = (rows: readonly number[]) =>
    microBatches(
      rows.flatMap((row) => trees[row] ?? []),
      2048,
    );
  const reference = new Map<string, TreeLogProbs>();
  for (const batch of fixture.steps.flatMap(({ rows }) => batchesOf(rows)))
    for (const [pairId, logProbs] of scoreTrees(base, batch)) reference.set(pairId, logProbs);

  expect(fixture.steps).toHaveLength(20);
  const losses = fixture.steps.map((expected, step) => {
    const result = withoutPause(
      trainingStep(policy, optimiser, {
        batches: batchesOf(expected.rows),
        reference,
        objective: {
          preference: { kind: 'dpo', beta: fixture.beta, labelSmoothing: 0 },
          exploration: { kind: 'none' },
        },
        activations: 'keep',
        adamW: fixture.optimiser,
        learningRate: fixture.learningRate,
        maxGradientNorm: null,
      }),
    );
    // fp32 on both sides, sums in another order, amplified over 20 updates.
    expect(relative(result.loss, expected.loss), `loss of step ${step}: ${result.loss}`).toBeLessThan(1e-4);
    expect(relative(result.gradientNorm, expected.gradientNorm), `gradient norm of step ${step}`).toBeLessThan(1e-3);
    return result.loss;
  });
  // To the bit: the policy with B = 0 is its reference.
  expect(losses[0]).toBe(Math.log(2));
  expect(Math.max(...losses) - Math.min(...losses)).toBeGreaterThan(0.3);

  const theirs = readAdapter(join(fixtures, 'dpo', 'trained'), model);
  const trained = policy.lowRank?.adapter;
  if (trained === undefined) throw new Error('No adapter was trained');
  for (const [name, expected] of values(theirs)) {
    const own = values(trained).get(name) ?? [];
    const distance = Math.hypot(...expected.map((value, i) => value - (own[i] ?? Number.NaN)));
    expect(distance / Math.hypot(...expected), name).toBeLessThan(1e-3);
  }
  base.dispose();
  optimiser.dispose();
  policy.dispose();
  model.dispose();
});
