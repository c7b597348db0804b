/** @file The gap is measured on responses that the reference sampled and that training scores whole, a token. */
import { expect, it } from 'vitest';
import { buildTree } from '../../score/trees.ts';
import type { ResponseRecord } from '../../store/ledger-rows.ts';
import { type GapInput, samplerGaps } from './sampler-gap.ts';

const ids = (...values: number[]): Int32Array => Int32Array.from(values);
const tree = buildTree({
  pairId: 'pair',
  promptIds: ids(1, 2),
  chosenIds: ids(5, 6, 7, 3),
  rejectedIds: ids(8, 3),
  responseIds: null,
});
const sampled = (tokenIds: Int32Array, logProb: number, samplerSha256 = 'pi'): ResponseRecord => ({
  ...{ iteration: 1, promptId: 'prompt', sampleIndex: 0, text: '', finish: 'stop', seed: 0 },
  ...{ tokenIds, logProb, samplerSha256 },
});
const input = (responses: ResponseRecord[]): GapInput => ({
  steps: [[tree], []],
  reference: new Map([['pair', [-4, -1]]]),
  referenceSha256: 'pi',
  responsesOf: () => responses,
});

it('is the mean over tokens of the differences of whole responses', () => {
  const [first, second] = samplerGaps(input([sampled(ids(5, 6, 7, 3), -4.2), sampled(ids(8, 3), -1.4)]));
  // (0.2 + 0.4) nats over 4 + 2 tokens; the second response is off by 0.4 over 2.
  expect(first?.['sampler/logp_gap']).toBeCloseTo(0.1, 12);
  expect(first?.['sampler/logp_gap_max']).toBeCloseTo(0.2, 12);
  expect(second).toEqual({});
});

it('leaves out what another model sampled, and responses that were cut', () => {
  const others = [sampled(ids(5, 6, 7, 3), -9, 'base'), sampled(ids(8, 9, 3), -9)];
  expect(samplerGaps(input(others))[0]).toEqual({});
});
