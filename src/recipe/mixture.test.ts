import { expect, it } from 'vitest';
import { parseRecipe } from './load.ts';
import { checkMixture } from './mixture.ts';

const two = { train: ['a.jsonl', 'b.jsonl'], shares: null, counts: null, limit: null };

it.each([
  [{ shares: [0.5, 0.5] }, null],
  [{ shares: [0.5, 0.5], limit: 100 }, null],
  [{ counts: [10, 20] }, null],
  [{ shares: [0.5, 0.5], counts: [1, 1] }, /data.shares are both set/],
  [{ shares: [1] }, /lists 1 numbers for 2 files/],
  [{ shares: [0.5, 0.6] }, /sum to 1.1/],
  [{ counts: [1, 1], limit: 1 }, /leave one of them out/],
])('%o of two files: %s', (given, problem) => {
  const found = checkMixture({ ...two, ...given }).map((each) => each.problem);
  expect(found).toEqual(problem === null ? [] : [expect.stringMatching(problem)]);
});

it('a recipe with shares that do not fit is refused by its field', () => {
  const recipe = {
    name: 'a',
    model: 'm',
    data: { train: ['a.jsonl', 'b.jsonl'], shares: [0.9, 0.9] },
    ranker: { kind: 'function', module: 'r.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    training: { learningRate: 1e-6 },
  };
  expect(() => parseRecipe(recipe)).toThrow(/data.shares sum to 1.8/);
});
