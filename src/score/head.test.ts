/** @file Which rows of logits are alive together: how many, by where they lie, and of which trees. */
import { expect, it } from 'vitest';
import { smallConfig } from '../../test/support/small-model.ts';
import { planGroups, rowsPerChunk } from './head.ts';

const config = smallConfig({ vocab_size: 128_256 });
const H100 = 81_559 * 2 ** 20;
const rowsOn = (device: string, bytes: number | null): number => rowsPerChunk(config, 'bfloat16', device, () => bytes);

it('the CPU has 96 MiB of logits, whatever a card says', () => {
  expect(rowsOn('cpu', H100)).toBe(Math.floor((96 * 2 ** 20) / (2 * 128_256)));
});

it('a card has a share of its memory, in which a whole micro-batch of 8,192 tokens has room on an H100', () => {
  expect(rowsOn('cuda:0', H100)).toBe(8192);
  expect(rowsOn('cuda:0', H100 / 4)).toBe(Math.floor(H100 / 4 / 32 / (2 * 128_256)));
  expect(rowsOn('cuda:0', null)).toBe(Math.floor(2 ** 30 / (2 * 128_256)));
});

it('a card has no more rows than make its products faster, and one at least', () => {
  expect(rowsPerChunk(smallConfig(), 'bfloat16', 'cuda', () => H100)).toBe(8192);
  expect(rowsPerChunk(config, 'bfloat16', 'cuda', () => 1)).toBe(1);
});

it('trees share a chunk up to a limit, and one above it is cut', () => {
  const lengths = [3, 2, 4, 7, 11, 2];
  const ends = lengths.map((_, tree) => lengths.slice(0, tree + 1).reduce((sum, length) => sum + length, 0));
  const ranges = ends.map((end, tree) => ({ tree, continuation: 0, begin: end - (lengths[tree] ?? 0), end }));
  expect(planGroups(ranges, 8).map(({ chunks }) => chunks)).toEqual([
    [{ begin: 0, end: 5 }],
    [{ begin: 5, end: 9 }],
    [{ begin: 9, end: 16 }],
    [
      { begin: 16, end: 24 },
      { begin: 24, end: 27 },
    ],
    [{ begin: 27, end: 29 }],
  ]);
});
