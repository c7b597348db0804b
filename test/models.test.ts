/**
 * @file The decoder against transformers on small random checkpoints of every family: logits, log-probabilities,
 * gradients and greedy tokens; and a saved model reads back as it was. Fixtures: scripts/fixtures/models.py.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { readSafetensorsHeader } from '../src/files/safetensors.ts';
import { loadModel, type Model } from '../src/model/load.ts';
import { longAfter } from '../src/model/rope.ts';
import { writeModelFiles } from '../src/model/save.ts';
import { weightOf } from '../src/model/weights.ts';
import { randomKey } from '../src/random.ts';
import { generate } from '../src/sample/generate.ts';
import { openSampler } from '../src/sample/sampler.ts';
import { headForwardBackward, logitsOf as logitsOfHidden } from '../src/score/head.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { packTrees } from '../src/score/packing.ts';
import { clearGradients, openPolicy, type Policy } from '../src/score/policy.ts';
import { forwardBackward, scoredHidden } from '../src/score/stream.ts';
import { buildTree, type PairTree } from '../src/score/trees.ts';
import { noGrad } from '../src/torch/autograd.ts';
import { mapFile, mappedTensor } from '../src/torch/mapped-file.ts';
import { to_dtype } from '../src/torch/ops.ts';
import { scope, type Tensor, toBytes, toFloat32Array } from '../src/torch/tensor.ts';

const root = join(packageRoot, 'test', 'fixtures', 'models');

interface Expected {
  inputIds: number[][];
  promptLength: number;
  logProbs: number[];
  loss: number;
  greedy: { prompt: number[]; ids: number[] };
}

function expectedTensor(directory: string, name: string): Tensor {
  const path = join(directory, 'expected.safetensors');
  const header = readSafetensorsHeader(path);
  const entry = header.tensors.get(name);
  if (entry === undefined) throw new Error(`No tensor ${name} in ${path}`);
  const begin = header.dataOffset + entry.begin;
  return mappedTensor(mapFile(path), {
    begin,
    end: header.dataOffset + entry.end,
    dtype: 'float32',
    shape: entry.shape,
  });
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

function treeOf(id: string, prompt: readonly number[], continuation: readonly number[]): PairTree {
  const ids = Int32Array.from(continuation);
  return buildTree({
    pairId: id,
    promptIds: Int32Array.from(prompt),
    chosenIds: ids,
    rejectedIds: ids,
    responseIds: null,
  });
}

/** Logits of every position but the last: the scored rows of a tree whose prompt is the first token. */
function logitsOf(policy: Policy, ids: readonly number[]): Float32Array {
  return scope('logits', () => {
    const batch = packTrees([treeOf('x', ids.slice(0, 1), ids.slice(1))], longAfter(policy.config));
    return toFloat32Array(noGrad(() => logitsOfHidden(policy, scoredHidden(policy, batch))));
  });
}

describe.each(readdirSync(root))('the checkpoint %s', (name) => {
  const directory = join(root, name);
  const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8')) as Expected;
  const withModel = <T>(body: (model: Model) => T): T => {
    const model = loadModel(directory);
    try {
      return body(model);
    } finally {
      model.dispose();
    }
  };
  const withPolicy = (body: (policy: Policy) => void): void => {
    const policy = withModel((model) => openPolicy(model, { dtype: 'float32', purpose: 'train' }));
    body(policy);
    policy.dispose();
  };

  it('has the logits of transformers within 1e-4, and its log-probabilities', () => {
    withPolicy((policy) => {
      expected.inputIds.forEach((ids, i) => {
        const all = scope('expected', () => toFloat32Array(expectedTensor(directory, `logits.${i}`)));
        const known = all.subarray(0, (ids.length - 1) * policy.config.vocabularySize);
        expect(largestDifference(logitsOf(policy, ids), known)).toBeLessThan(1e-4);
        const tree = treeOf('x', ids.slice(0, expected.promptLength), ids.slice(expected.promptLength));
        const [logProb] = scoreTrees(policy, packTrees([tree], longAfter(policy.config))).get('x') ?? [];
        expect(Math.abs((logProb ?? Number.NaN) / (expected.logProbs[i] ?? 1) - 1)).toBeLessThan(1e-5);
      });
    });
  });

  // bf16 keeps 8 bits: a weight or an activation is off by 4e-3 at most.
  it('has its log-probabilities within 3 % in bf16', () => {
    const policy = withModel((model) => openPolicy(model, { dtype: 'bfloat16', purpose: 'score' }));
    expected.inputIds.forEach((ids, i) => {
      const tree = treeOf('x', ids.slice(0, expected.promptLength), ids.slice(expected.promptLength));
      const [logProb] = scoreTrees(policy, packTrees([tree], longAfter(policy.config))).get('x') ?? [];
      expect(Math.abs((logProb ?? Number.NaN) / (expected.logProbs[i] ?? 1) - 1)).toBeLessThan(0.03);
    });
    policy.dispose();
  });

  it("has its gradients within 1e-3 of each weight's largest", () => {
    withPolicy((policy) => {
      const trees = expected.inputIds.map((ids, i) =>
        treeOf(String(i), ids.slice(0, expected.promptLength), ids.slice(expected.promptLength)),
      );
      const batch = packTrees(trees, longAfter(policy.config));
      clearGradients(policy);
      forwardBackward(policy, batch, {
        activations: 'keep',
        head: (rows) => ({
          gradient_SD: headForwardBackward(policy, batch, { rows, derivatives: (ranges) => ranges.map(() => -1) }),
          result: undefined,
        }),
      });
      const names = [...readSafetensorsHeader(join(directory, 'expected.safetensors')).tensors.keys()];
      const gradients = names.filter((each) => each.startsWith('gradient.'));
      expect(gradients.length).toBeGreaterThan(2);
      for (const each of gradients) {
        scope('gradient', () => {
          const known = toFloat32Array(expectedTensor(directory, each));
          const own = toFloat32Array(weightOf(policy.gradients ?? new Map(), each.slice('gradient.'.length)));
          const largest = known.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          expect(largestDifference(own, known) / largest, each).toBeLessThan(1e-3);
        });
      }
    });
  });

  it('decodes greedily the same tokens', async () => {
    const sampler = withModel((model) => openSampler(model));
    const request = {
      promptId: 'x',
      promptIds: expected.greedy.prompt,
      samples: [{ sampleIndex: 0, key: randomKey(0) }],
    };
    const options = {
      temperature: 0,
      topP: 1,
      topK: 0,
      maxNewTokens: expected.greedy.ids.length,
      stopIds: [],
      batchSize: 1,
    };
    for await (const response of generate(sampler, [request], options))
      expect(response.tokenIds).toEqual(expected.greedy.ids);
    sampler.dispose();
  });

  // A prompt far longer than the windows (and than longrope's switch); sampling and scoring are different kernels.
  it('samples with the log-probabilities that scoring gives', async () => {
    const [, ids = []] = expected.inputIds;
    const promptIds = ids.slice(0, 60);
    const sampler = withModel((model) => openSampler(model));
    const samples = [0, 1].map((sampleIndex) => ({ sampleIndex, key: randomKey(3, String(sampleIndex)) }));
    const options = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 12, stopIds: [], batchSize: 2 };
    const responses: { tokenIds: readonly number[]; logProb: number }[] = [];
    for await (const response of generate(sampler, [{ promptId: 'x', promptIds, samples }], options)) {
      responses.push(response);
    }
    sampler.dispose();
    withPolicy((policy) => {
      for (const { tokenIds, logProb } of responses) {
        const batch = packTrees([treeOf('x', promptIds, tokenIds)], longAfter(policy.config));
        const [scored] = scoreTrees(policy, batch).get('x') ?? [];
        expect(Math.abs(logProb - (scored ?? Number.NaN))).toBeLessThan(1e-4);
      }
    });
    expect(responses).toHaveLength(2);
  });

  it('is saved under the same names, and loads again with the same numbers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'selm-save-'));
    withModel((model) => {
      writeModelFiles(folder, { base: directory, raw: model.config.raw, weights: model.weights, dtype: 'float32' });
      const again = loadModel(folder);
      expect([...again.weights.keys()]).toEqual([...model.weights.keys()]);
      for (const [weight, tensor] of model.weights) {
        scope('compare', () => {
          const same = toBytes(to_dtype(tensor, 'float32'));
          expect(Buffer.from(toBytes(weightOf(again.weights, weight))).equals(Buffer.from(same)), weight).toBe(true);
        });
      }
      expect(readdirSync(folder)).toContain('tokenizer.json');
      again.dispose();
    });
    rmSync(folder, { recursive: true });
  });
});
