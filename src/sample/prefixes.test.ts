/** @file What prompts begin with in common is computed once, kept while someone awaits it, and changes no bit of an answer. */
import { describe, expect, it } from 'vitest';
import { isOnCpu } from '../../test/support/device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey } from '../random.ts';
import { generate } from './generate.ts';
import { PagePool } from './pages.ts';
import { knownBlocks, pagesOf, type SharedBlock, settleBlocks, sharedBlocks } from './prefixes.ts';
import { openSampler } from './sampler.ts';

const numbers = (count: number, step = 1): number[] => Array.from({ length: count }, (_, i) => (i * step) % 50);
const prompt = (promptIds: number[], kind = 'short') => ({ promptIds, kind });

describe('sharedBlocks()', () => {
  it('finds whole blocks of 32 tokens that at least two prompts begin with, never with a last token', () => {
    const [long, same, other, whole] = [
      prompt([...numbers(70), 7, 8]),
      prompt([...numbers(70), 9]),
      prompt([...numbers(40), ...numbers(40, 3)]),
      prompt(numbers(64)),
    ];
    const chains = sharedBlocks([long, same, other, whole]);
    expect([long, same, other, whole].map((each) => chains.get(each)?.map(({ awaited }) => awaited))).toEqual([
      [4, 2],
      [4, 2],
      [4],
      [4],
    ]);
    expect(chains.get(long)?.[1]).toBe(chains.get(same)?.[1]);
  });

  it('shares nothing between prompts whose keys are turned otherwise', () => {
    const [one, two] = [prompt(numbers(50)), prompt(numbers(50), 'long')];
    expect([...sharedBlocks([one, two]).values()]).toEqual([[], []]);
  });
});

it('keeps the pages of a block until the last prompt with it was prefilled', () => {
  const pool = new PagePool(smallConfig(), { dtype: 'float32', device: 'cpu' });
  const chain: SharedBlock[] = [{ awaited: 2, pages: null }];
  const first = pool.take(3);
  settleBlocks(chain, first, pool);
  expect(pagesOf(knownBlocks(chain))).toEqual(first.slice(0, 2));
  // The first prompt is done; its pages are still there for the second.
  pool.give(first);
  expect(pool.take(10)).not.toEqual(expect.arrayContaining([first[0]]));
  pool.share(first.slice(0, 2));
  settleBlocks(chain, first, pool);
  expect(knownBlocks(chain)).toEqual([]);
  pool.give(first.slice(0, 2));
  expect(pool.take(2).toSorted()).toEqual(first.slice(0, 2).toSorted());
  pool.dispose();
});

describe('generate()', () => {
  const gemma = { model_type: 'gemma2', query_pre_attn_scalar: 8, sliding_window: 40, head_dim: 8 };
  // A card chooses the kernel of a product by its number of rows (docs/gpu.md).
  it.skipIf(!isOnCpu).each([
    ['fp32', {}, 'float32'],
    ['bf16', {}, 'bfloat16'],
    ['fp32, windows and soft caps', { ...gemma, attn_logit_softcapping: 2 }, 'float32'],
    ['bf16, windows and soft caps', { ...gemma, attn_logit_softcapping: 2 }, 'bfloat16'],
  ] as const)(
    'gives a prompt the bits that it has alone, whatever it begins with in common: %s',
    async (_, fields, dtype) => {
      const config = smallConfig(fields);
      const sampler = openSampler({ config, weights: smallWeights(config) }, { dtype });
      const requests = [numbers(75), numbers(75, 3), numbers(97), numbers(40)].flatMap((beginning, group) =>
        [1, 4].map((length) => ({
          promptId: `${group}/${length}`,
          promptIds: [...beginning, ...numbers(length, 7 + group)],
          samples: [0, 1].map((sampleIndex) => ({ sampleIndex, key: randomKey(3, group, length, sampleIndex) })),
        })),
      );
      const answers = async (work: typeof requests): Promise<Map<string, unknown>> => {
        const found = new Map<string, unknown>();
        const options = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 6, stopIds: [2], batchSize: 64 };
        for await (const answer of generate(sampler, work, options))
          found.set(`${answer.promptId} ${answer.sampleIndex}`, answer);
        return found;
      };
      const together = await answers(requests);
      expect(together.size).toBe(16);
      for (const request of requests) {
        for (const [name, answer] of await answers([request])) expect(together.get(name)).toEqual(answer);
      }
      sampler.dispose();
    },
  );
});
