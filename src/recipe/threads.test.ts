import { expect, it } from 'vitest';
import { loadRecipe } from './load.ts';
import { threadsOf } from './threads.ts';

const withTwin = (threads: number | null, twin: boolean | 'beside') => ({ threads, evaluate: { ...quickstart, twin } });
const quickstart = loadRecipe('recipes/quickstart.yaml').evaluate;

it.each([
  ['all threads alone', null, false, 8],
  ['all threads where its twin comes after it', null, true, 8],
  ['half of them where its twin runs beside it', null, 'beside', 4],
  ['as many as its recipe says', 3, 'beside', 3],
] as const)('a run has %s', (_, threads, twin, wanted) => {
  expect(threadsOf(withTwin(threads, twin), 8)).toBe(wanted);
});

it('a run beside its twin has one thread where there is only one', () => {
  expect(threadsOf(withTwin(null, 'beside'), 1)).toBe(1);
});
