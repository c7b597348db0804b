/** @file A device hears nothing from the host between tokens: what is sampled there is what the CPU samples, one pass late. */
import { beforeEach, expect, it, vi } from 'vitest';
import type { DeviceUse } from '../../test/support/pretended-device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey } from '../random.ts';
import { noGrad } from '../torch/autograd.ts';
import { to_device } from '../torch/ops.ts';
import { type GeneratedResponse, type GenerateOptions, type GenerationRequest, generate } from './generate.ts';
import { openSampler, type Sampler } from './sampler.ts';

const uses: DeviceUse[] = vi.hoisted(() => []);

vi.mock('../torch/native.ts', async (importActual) => {
  const { pretendedModule } = await import('../../test/support/pretended-device.ts');
  return pretendedModule(await importActual<typeof import('../torch/native.ts')>(), (use) => uses.push(use));
});

const config = smallConfig();
const samplerOn = (device: string): Sampler => {
  const weights = [...smallWeights(config)].map(([name, weight]) => {
    const moved = noGrad(() => to_device(weight, device, 'float32', { copy: true }));
    return [name, moved] as const;
  });
  return openSampler({ config, weights: new Map(weights) });
};
const [onCpu, onDevice] = [samplerOn('cpu'), samplerOn('cuda')];

// Seven prompts of 1 to 37 tokens, three samples each.
const requests: GenerationRequest[] = Array.from({ length: 7 }, (_, p) => ({
  promptId: `p${p}`,
  promptIds: Array.from({ length: 1 + 6 * p }, (_, i) => (7 * p + 3 * i) % config.vocabularySize),
  samples: [0, 1, 2].map((sampleIndex) => ({ sampleIndex, key: randomKey(5, `p${p}`, sampleIndex) })),
}));

const settings: GenerateOptions = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 24, stopIds: [2], batchSize: 4 };

async function responses(sampler: Sampler, changes: Partial<GenerateOptions>): Promise<GeneratedResponse[]> {
  const found: GeneratedResponse[] = [];
  for await (const response of generate(sampler, requests, { ...settings, ...changes })) found.push(response);
  const place = ({ promptId, sampleIndex }: GeneratedResponse): string => `${promptId}/${sampleIndex}`;
  return found.sort((a, b) => (place(a) < place(b) ? -1 : 1));
}

beforeEach(() => {
  uses.length = 0;
});

/** Complete once a 9 was written after a third token, as a stop text would be. */
const untilNine: GenerateOptions['areComplete'] = (texts) => texts.map((ids) => ids.slice(3).includes(9));

it.each<[string, Partial<GenerateOptions>]>([
  ['greedy', { temperature: 0 }],
  ['at temperature 0.7', { temperature: 0.7 }],
  ['of the top 5', { topK: 5 }],
  ['of the nucleus of 0.8', { topP: 0.8 }],
  ['with stop tokens and stop texts', { stopIds: [2, 11, 23], areComplete: untilNine }],
  ['of one token', { maxNewTokens: 1 }],
  ['one at a time', { batchSize: 1, stopIds: [2, 11] }],
  ['all at once, past a page', { batchSize: 64, maxNewTokens: 70, stopIds: [] }],
])('responses %s have the tokens and log-probabilities of the CPU', async (_, changes) => {
  const heard: number[] = [];
  const expectedTokens: number[] = [];
  const expected = await responses(onCpu, { ...changes, onTokens: (count) => void expectedTokens.push(count) });
  const found = await responses(onDevice, { ...changes, onTokens: (count) => void heard.push(count) });
  expect(found).toHaveLength(21);
  expect(found).toEqual(expected);
  // What was drawn after the end of a response counts nowhere.
  const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);
  expect(sum(heard)).toBe(sum(expectedTokens));
});

it('no pass waits for the one before: the host hears of a draw when a later one was begun', async () => {
  await responses(onDevice, { batchSize: 64, stopIds: [2, 11] });
  expect(uses.filter((use) => use.kind === 'to the host' && use.waits)).toEqual([]);
  const begun: number[] = [];
  const waitedFor: number[] = [];
  for (const use of uses) {
    if (use.kind === 'to the host' && use.fetch !== null) begun.push(use.fetch);
    if (use.kind !== 'heard') continue;
    expect(begun).toContain(use.fetch);
    if (use.fetch === begun.at(-1)) waitedFor.push(use.fetch);
  }
  // Only at the very end, when nothing was left to begin.
  expect(waitedFor).toEqual([begun.at(-1)]);
  expect(begun.length).toBeGreaterThan(20);
});

it('while the same rows go on in their pages, nothing is copied to the device', async () => {
  await responses(onDevice, { batchSize: 64, stopIds: [], maxNewTokens: 60 });
  const passes = uses.flatMap((use, i) => (use.kind === 'operator' && use.name === 'selm::decode_blocks_' ? [i] : []));
  const copies = passes.slice(1).map((end, i) => {
    const between = uses.slice(passes[i], end);
    return between.filter(({ kind }) => kind === 'to the device').length;
  });
  expect(copies).toHaveLength(58);
  // Four pages of 16 tokens at once: none is needed in 60 tokens.
  expect(copies.filter((count) => count > 0)).toEqual([]);
});
