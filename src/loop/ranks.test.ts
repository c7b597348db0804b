/** @file Why two ranks cannot work on one run. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { Identity } from '../ranks/join.ts';
import { dataFingerprint, mismatch } from './ranks.ts';

const identity: Identity = {
  code: 'a',
  libtorch: '2.15',
  node: '20',
  recipe: { seed: 1, training: { learningRate: 1 } },
  model: 'm',
  data: 'd',
};

it.each<[string, Partial<Identity>, string]>([
  ['another version', { code: 'b' }, 'another version of selm'],
  ['another LibTorch', { libtorch: '2.14' }, 'LibTorch 2.14 and rank 0 2.15'],
  ['another Node', { node: '22' }, 'Node 22 and rank 0 Node 20'],
  ['another model in the same place', { model: 'n' }, 'another model than rank 0'],
  ['no model', { model: null }, 'another model than rank 0'],
  ['other data in the same place', { data: 'e' }, 'other data than rank 0'],
  [
    'another setting',
    { recipe: { seed: 1, training: { learningRate: 2 } } },
    'training.learningRate is 2 there and 1 here',
  ],
])('a rank with %s does not fit', (_, change, words) => {
  expect(mismatch(identity, { ...identity, ...change })).toContain(words);
});

it('a rank that runs the same fits, also where it lacks the data, which rank 0 alone reads', () => {
  expect(mismatch(identity, { ...identity })).toBeNull();
  expect(mismatch(identity, { ...identity, data: null })).toBeNull();
});

it('data are told from others of the same size, and from none', () => {
  const path = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(path, '{"prompt": "one"}\n');
  const before = dataFingerprint([path]);
  expect(dataFingerprint([path])).toBe(before);
  writeFileSync(path, '{"prompt": "two"}\n');
  expect(dataFingerprint([path])).not.toBe(before);
  expect(dataFingerprint([path, 'hub:owner/name'])).toBeNull();
});
