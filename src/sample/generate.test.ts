/** @file A response depends on its prompt, its key and the weights: not on the batch, the slots, n, or a restart. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isOnCpu } from '../../test/support/device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { packageRoot } from '../files/package-root.ts';
import { loadModel } from '../model/load.ts';
import { randomKey } from '../random.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { packTrees } from '../score/packing.ts';
import { openPolicy } from '../score/policy.ts';
import { buildTree } from '../score/trees.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { type GeneratedResponse, type GenerateOptions, type GenerationRequest, generate } from './generate.ts';
import { openSampler, type Sampler } from './sampler.ts';

const config = smallConfig();
let sampler: Sampler;
beforeAll(() => {
  sampler = openSampler({ config, weights: smallWeights(config) });
});
afterAll(() => sampler.dispose());

// Nine prompts of 1 to 9 tokens, n samples each.
function requests(n: number): GenerationRequest[] {
  return Array.from({ length: 9 }, (_, p) => ({
    promptId: `p${p}`,
    promptIds: Array.from({ length: p + 1 }, (_, i) => (7 * p + 3 * i) % config.vocabularySize),
    samples: Array.from({ length: n }, (_, sampleIndex) => ({ sampleIndex, key: randomKey(5, `p${p}`, sampleIndex) })),
  }));
}

const settings: GenerateOptions = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 24, stopIds: [2], batchSize: 4 };

async function collect(
  work: GenerationRequest[],
  changes: Partial<GenerateOptions> = {},
  of = sampler,
): Promise<Map<string, GeneratedResponse>> {
  const found = new Map<string, GeneratedResponse>();
  for await (const response of generate(of, work, { ...settings, ...changes })) {
    found.set(`${response.promptId}/${response.sampleIndex}`, response);
  }
  return found;
}

describe('generate()', () => {
  // A card chooses the kernel of a product by its number of rows (docs/gpu.md).
  it.skipIf(!isOnCpu)(
    'gives every response the same tokens and log-probability, bit for bit, in batches of 1, 3, 4 and 64',
    async () => {
      const expected = await collect(requests(3), { batchSize: 1 });
      expect(expected.size).toBe(27);
      for (const batchSize of [3, 4, 64]) expect(await collect(requests(3), { batchSize })).toEqual(expected);
    },
  );

  it.skipIf(!isOnCpu)('does so with sliding windows and soft caps', async () => {
    const fields = { sliding_window: 5, attn_logit_softcapping: 2, final_logit_softcapping: 3, head_dim: 8 };
    const gemma = smallConfig({ model_type: 'gemma2', query_pre_attn_scalar: 8, ...fields });
    const own = openSampler({ config: gemma, weights: smallWeights(gemma) });
    const expected = await collect(requests(2), { batchSize: 1 }, own);
    for (const batchSize of [3, 64]) expect(await collect(requests(2), { batchSize }, own)).toEqual(expected);
    own.dispose();
  });

  it('does so with products in bf16, whose log-probabilities are near those of fp32', async () => {
    const own = openSampler({ config, weights: smallWeights(config) }, { dtype: 'bfloat16' });
    const expected = await collect(requests(2), { batchSize: 1 }, own);
    for (const batchSize of [3, 64]) expect(await collect(requests(2), { batchSize }, own)).toEqual(expected);
    const [exact, near] = [sampler, own].map((each) => collect(requests(2), { maxNewTokens: 1, stopIds: [] }, each));
    const found = await near;
    for (const [id, response] of (await exact) ?? []) {
      // The same first token, but for a draw that lies near the border of two; bf16 keeps 8 bits.
      const other = found?.get(id);
      if (other?.tokenIds[0] !== response.tokenIds[0]) continue;
      expect(Math.abs((other?.logProb ?? Number.NaN) - response.logProb)).toBeLessThan(0.05);
      expect(other?.logProb).not.toBe(response.logProb);
    }
    own.dispose();
  });

  it('refuses a response that would pass the length at which longrope changes its factors, and says which field', async () => {
    const factors = { short_factor: [1, 1, 1, 1], long_factor: [1, 2, 3, 4] };
    const phi = smallConfig({
      model_type: 'phi3',
      original_max_position_embeddings: 30,
      rope_scaling: { type: 'longrope', ...factors },
    });
    const own = openSampler({ config: phi, weights: smallWeights(phi) });
    await expect(collect(requests(1), {}, own)).rejects.toMatchObject({
      code: 'RESPONSE_CROSSES_ROPE',
      details: { field: 'original_max_position_embeddings', promptId: 'p6', limit: 30 },
    });
    expect((await collect(requests(1), { maxNewTokens: 21 }, own)).size).toBe(9);
    own.dispose();
  });

  it.skipIf(!isOnCpu)(
    'gives the first samples unchanged when n grows, and the rest unchanged when some are done already',
    async () => {
      const three = await collect(requests(3));
      const five = await collect(requests(5));
      for (const [id, response] of three) expect(five.get(id)).toEqual(response);
      const rest = requests(5).map((request) => ({ ...request, samples: request.samples.slice(3) }));
      for (const [id, response] of await collect(rest)) expect(response).toEqual(five.get(id));
    },
  );

  it('draws different samples of one prompt, and the same greedy answer for all of them', async () => {
    const sampled = [...(await collect(requests(3))).values()].filter((response) => response.promptId === 'p8');
    expect(new Set(sampled.map((response) => response.tokenIds.join())).size).toBe(3);
    const greedy = [...(await collect(requests(3), { temperature: 0 })).values()].filter(
      (response) => response.promptId === 'p8',
    );
    expect(new Set(greedy.map((response) => response.tokenIds.join())).size).toBe(1);
  });

  it('is greedy with topK 1, and with a topP that only the likeliest token reaches', async () => {
    const greedy = await collect(requests(1), { temperature: 0 });
    expect(await collect(requests(1), { topK: 1 })).toEqual(greedy);
    expect(await collect(requests(1), { topP: 1e-9 })).toEqual(greedy);
  });

  it('ends at a stop token, which is not part of the response, or after maxNewTokens', async () => {
    const all = [...(await collect(requests(6))).values()];
    const stopped = all.filter((response) => response.finish === 'stop');
    expect(stopped.length).toBeGreaterThan(0);
    expect(stopped.length).toBeLessThan(all.length);
    for (const response of all) {
      expect(response.tokenIds).not.toContain(2);
      expect(response.tokenIds.length).toBeLessThanOrEqual(24);
      if (response.finish === 'length') expect(response.tokenIds.length).toBe(24);
    }
  });

  it('asks once a pass which responses are complete, and ends those', async () => {
    let calls = 0;
    const areComplete = (responses: readonly (readonly number[])[]): boolean[] => {
      calls += 1;
      return responses.map((tokenIds) => tokenIds.length === 5);
    };
    const all = await collect(requests(2), { stopIds: [], batchSize: 64, areComplete });
    for (const { tokenIds, finish } of all.values()) expect([tokenIds.length, finish]).toEqual([5, 'stop']);
    expect([all.size, calls]).toEqual([18, 5]);
  });

  // A card prefills more at once.
  it.skipIf(!isOnCpu)('decodes when the batch is full, so that all its sequences share each pass', async () => {
    const long = smallConfig({ max_position_embeddings: 1024 });
    const own = openSampler({ config: long, weights: smallWeights(long) });
    // Two of these prompts fill a pass of prefill, and the third takes another one.
    const work = requests(1)
      .slice(0, 3)
      .map((request, p) => ({ ...request, promptIds: Array<number>(700).fill(p) }));
    const counts: number[] = [];
    await collect(work, { maxNewTokens: 3, stopIds: [], onTokens: (count) => counts.push(count) }, own);
    expect(counts).toEqual([2, 1, 3, 3]);
    own.dispose();
  });

  it('stops at the last position of the model', async () => {
    const long = [
      { promptId: 'long', promptIds: Array(120).fill(3), samples: [{ sampleIndex: 0, key: randomKey(1) }] },
    ];
    const [response] = (await collect(long, { stopIds: [] })).values();
    expect(response?.tokenIds.length).toBe(config.maxPositions - 120);
  });

  it('refuses a prompt that fills the model, and names it', async () => {
    const full = [
      { promptId: 'full', promptIds: Array(128).fill(3), samples: [{ sampleIndex: 0, key: randomKey(1) }] },
    ];
    await expect(collect(full)).rejects.toMatchObject({
      code: 'PROMPT_TOO_LONG',
      details: { promptId: 'full', tokens: 128 },
    });
  });

  it('draws tokens as often as their probabilities say', async () => {
    const samples = Array.from({ length: 4000 }, (_, sampleIndex) => ({ sampleIndex, key: randomKey(9, sampleIndex) }));
    const first = await collect([{ promptId: 'x', promptIds: [4, 5], samples }], {
      maxNewTokens: 1,
      stopIds: [],
      batchSize: 4000,
    });
    const counts = new Map<number, { count: number; probability: number }>();
    for (const { tokenIds, logProb } of first.values()) {
      const known = counts.get(tokenIds[0] ?? -1) ?? { count: 0, probability: Math.exp(logProb) };
      counts.set(tokenIds[0] ?? -1, { ...known, count: known.count + 1 });
    }
    for (const { count, probability } of counts.values()) {
      // Five standard errors of a share over 4,000 draws.
      expect(Math.abs(count / 4000 - probability)).toBeLessThan(
        5 * Math.sqrt((probability * (1 - probability)) / 4000) + 1e-3,
      );
    }
  });

  it('agrees with the trainer on the log-probability of what it sampled', async () => {
    const policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'score' });
    for (const response of (await collect(requests(2))).values()) {
      const promptIds = Int32Array.from(
        requests(1).find((request) => request.promptId === response.promptId)?.promptIds ?? [],
      );
      const ids = Int32Array.from(response.finish === 'stop' ? [...response.tokenIds, 2] : response.tokenIds);
      const tree = buildTree({ pairId: 'x', promptIds, chosenIds: ids, rejectedIds: ids, responseIds: null });
      const [logProb] = scoreTrees(policy, packTrees([tree])).get('x') ?? [];
      // Two orders of fp32 addition over 24 tokens.
      expect(Math.abs((logProb ?? Number.NaN) - response.logProb)).toBeLessThan(1e-4);
    }
    policy.dispose();
  });

  it('frees its caches and logits, also when the caller stops early', async () => {
    const before = memoryStatistics().liveTensors;
    await collect(requests(2));
    for await (const _ of generate(sampler, requests(2), settings)) break;
    expect(memoryStatistics().liveTensors).toBe(before);
  });

  it('ends with an InterruptedError when the signal is given', async () => {
    await expect(collect(requests(2), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('stories260K', () => {
  it('decodes greedily the very tokens of llama2.c', async () => {
    const reference = join(packageRoot, 'assets', 'stories260K', 'reference_greedy.json');
    const expected = JSON.parse(readFileSync(reference, 'utf8')) as { ids: number[]; sum_logprob: number };
    const model = loadModel(join(packageRoot, 'assets', 'stories260K'));
    const stories = openSampler(model);
    const request = { promptId: 'x', promptIds: [1], samples: [{ sampleIndex: 0, key: randomKey(0) }] };
    const changes = { temperature: 0, maxNewTokens: expected.ids.length - 1, stopIds: [1, 2] };
    const [response] = (await collect([request], changes, stories)).values();
    expect(response?.tokenIds).toEqual(expected.ids.slice(1));
    // The reference is a sum in fp32 by numpy over 256 tokens.
    expect(response?.logProb).toBeCloseTo(expected.sum_logprob, 3);
    stories.dispose();
    model.dispose();
  });
});
