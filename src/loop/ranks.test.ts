/** @file Why two ranks cannot work on one run. */
import { expect, it } from 'vitest';
import type { Identity } from '../ranks/join.ts';
import { mismatch } from './ranks.ts';

const identity: Identity = {
  code: 'a',
  libtorch: '2.15',
  node: '20',
  recipe: { seed: 1, training: { learningRate: 1 } },
  model: 'm',
};

it.each<[string, Partial<Identity>, string]>([
  ['another version', { code: 'b' }, 'another version of selm'],
  ['another LibTorch', { libtorch: '2.14' }, 'LibTorch 2.14 and rank 0 2.15'],
  ['another Node', { node: '22' }, 'Node 22 and rank 0 Node 20'],
  ['another model in the same place', { model: 'n' }, 'another model than rank 0'],
  ['no model', { model: null }, 'another model than rank 0'],
  [
    'another setting',
    { recipe: { seed: 1, training: { learningRate: 2 } } },
    'training.learningRate is 2 there and 1 here',
  ],
])('a rank with %s does not fit', (_, change, words) => {
  expect(mismatch(identity, { ...identity, ...change })).toContain(words);
});

it('a rank that runs the same fits', () => {
  expect(mismatch(identity, { ...identity })).toBeNull();
});
