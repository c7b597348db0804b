import { expect, test } from 'vitest';
import { lostModels, type ModelState } from './lost-models.ts';

/** One letter a model: `f`inished and there, `g`one but finished, `t`rained and there but not measured, `o`pen. */
function models(letters: string, first = 1): ModelState[] {
  return [...letters].map((letter, index) => ({
    iteration: first + index,
    trained: letter !== 'o',
    finished: letter === 'f' || letter === 'g',
    present: letter === 'f' || letter === 't',
  }));
}

test.each([
  ['nothing is gone', 'ffo', []],
  ['the one before an open iteration', 'fgo', [2]],
  ['two in a row before an open iteration', 'ggo', [1, 2]],
  ['one before an iteration that was not measured yet', 'gt', [1]],
  ['an early one of a finished run, deleted to free space', 'gff', []],
  ['the last of a finished run', 'ffg', [3]],
  ['the last two of a finished run', 'fgg', [2, 3]],
  ['an early one while a later one is there to go on from', 'gfo', []],
])('lostModels() with %s', (_, letters, expected) => {
  expect([...lostModels(models(letters), 'previous')].sort()).toEqual(expected);
});

test('lostModels() asks for the model of a warm start as long as it is the reference of open work', () => {
  expect([...lostModels(models('gfo', 0), 'initial')]).toEqual([0]);
  expect([...lostModels(models('gfo', 0), 'previous')]).toEqual([]);
  expect([...lostModels(models('gff', 0), 'initial')]).toEqual([]);
});
